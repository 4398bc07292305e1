"""What metadata may hold: what is decoded is within these bounds, so nothing behind has to check it again."""

from typing import Annotated, TypeAlias

import msgspec

Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A count, a size or an offset: exact as a JSON number, and sums of hundreds of them fit into int64."""
Planned: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
"""A number of steps, windows or tokens that a run is planned for: products of two fit into int64."""
Side: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""One side of a shape."""
Rows: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""A number of rows of the table of ids, or a place in it; ids are int32 at most."""
Id: TypeAlias = Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)]
"""An id, or -1 for none."""
Digest: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
"""A SHA-256 as `sha256sum` prints it."""
MAX_DIMENSIONS = 32
"""Of a field, as numpy has it."""
MAX_ELEMENTS = 2**31 - 1
"""Of one timestep's value of a field."""
