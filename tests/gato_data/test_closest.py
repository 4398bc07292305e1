from gato_data.closest import closest, did_you_mean


def test_the_name_that_was_probably_meant():
    assert closest("atary", ["sokoban", "atari", "atari-extended"]) == "atari"
    assert closest("xyz", ["sokoban", "atari"]) is None
    assert did_you_mean("atary", {"atari": 1}) == ". Did you mean 'atari'?"
    assert did_you_mean("xyz", {"atari": 1}) == "."
