"""Search for crashes with coverage: `python -m tests.fuzz.run_atheris TARGET --seconds 60`.

It needs `pip install atheris`. What crashes is left in `crash-*`: put it into `corpus/TARGET/`, where test_targets.py
keeps it, and mend the reader.
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory


def main() -> None:
    """The command line."""
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris")
    with atheris.instrument_imports(include=["gato_schemas", "gato_data", "gato_pipelines", "msgspec"]):
        from tests.fuzz.targets import TARGETS
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    target = TARGETS[asked.target]
    with TemporaryDirectory() as folder:
        for number, seed in enumerate(target.seeds()):
            (Path(folder) / str(number)).write_bytes(seed)
        options = [f"-max_total_time={asked.seconds}", f"-seed={asked.seed}", "-rss_limit_mb=2048", "-timeout=20"]
        atheris.Setup([sys.argv[0], folder, *options, "-print_final_stats=1", "-verbosity=0"], target.run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
