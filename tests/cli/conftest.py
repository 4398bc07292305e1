from tests.gato_data.report.conftest import arm, captions, told

__all__ = ["arm", "captions", "told"]
