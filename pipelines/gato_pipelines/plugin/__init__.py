"""What a source of your own needs, behind one door: these names stay, whatever moves behind them.

A source
    ControlSource    base of sources of control data: options, planning, reading; needs `container`
    DocumentSource   base of sources of documents: needs `parts` and `read`
    Source           the whole contract, for a source that shares nothing with either
    setting          declares a field that becomes a command-line option
    default          declares a field of ControlSource with another default
    check_source     runs a source over a small input and says where it breaks the contract

The input of a control source
    Container        one input in the terms of RLDS: needs `files` and `episodes`
    File             one file of it, which becomes one shard per split
    RawItem          one episode of a file, or why it could not be read
    RldsEpisode      arrays, encoded images and texts of an episode, by RLDS's names
    Features         all leaves of a dataset
    Leaf             one feature: its path, kind, dtype and shape
    Kind             what a leaf stands for: a tensor, an image, a text, ...

What any source gives
    Part             what one worker reads at a time: a file, or some of its episodes
    PartScan         what the planning pass needs to know of a part
    Item             one episode or document of a part, or why it could not be read
    Episode          timesteps of observations and actions
    Document         texts and images in order
    Text             a text in a document
    Image            an image in a document, uint8 (H, W, 3) with sides that are multiples of 16
    Field            one observation or action of an episode: its modality, shape and dtype
    TaskInfo         the fields of a task and what was decided of it
    Note             a line of the account: what was left out, or read in a way worth knowing

What goes wrong
    EpisodeError     one episode cannot be used: it becomes a dead letter
    InputError       the whole input cannot be read
    SettingError     a setting cannot be what it is
"""

from gato_data.errors import EpisodeError, InputError, SettingError
from gato_data.settings import setting
from gato_pipelines.containers.container import Container, File, RawItem
from gato_pipelines.control_source import ControlSource, default
from gato_pipelines.documents.source import DocumentSource
from gato_pipelines.part_scan import PartScan
from gato_pipelines.plugin.contract import check_source
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Features, Kind, Leaf
from gato_pipelines.source import Item, Source
from gato_schemas.account import Note
from gato_schemas.dataset import TaskInfo
from gato_schemas.episode import Document, Episode, Field, Image, Text
from gato_schemas.index import Part

__all__ = [
    "Container",
    "ControlSource",
    "Document",
    "DocumentSource",
    "Episode",
    "EpisodeError",
    "Features",
    "Field",
    "File",
    "Image",
    "InputError",
    "Item",
    "Kind",
    "Leaf",
    "Note",
    "Part",
    "PartScan",
    "RawItem",
    "RldsEpisode",
    "SettingError",
    "Source",
    "TaskInfo",
    "Text",
    "check_source",
    "default",
    "setting",
]
