"""Recommend from day one: items with text and no clicks, users with a sentence and no history.

>>> import coldstart as cs
>>> films = cs.datasets.films()
>>> len(films) > 200
True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coldstart import baselines as baselines
    from coldstart import metrics as metrics
    from coldstart import testing as testing
    from coldstart.base import Encoder as Encoder
    from coldstart.base import Features as Features
    from coldstart.base import Fuser as Fuser
    from coldstart.base import Index as Index
    from coldstart.base import Ranker as Ranker
    from coldstart.base import Users as Users
    from coldstart.data import datasets as datasets
    from coldstart.data import splits as splits
    from coldstart.data.catalog import Catalog as Catalog
    from coldstart.data.interactions import Interactions as Interactions
    from coldstart.data.requests import Recommendations as Recommendations
    from coldstart.data.requests import Request as Request
    from coldstart.encoders.cached import CachedEncoder as CachedEncoder
    from coldstart.encoders.lexical import LexicalEncoder as LexicalEncoder
    from coldstart.encoders.text import TextEncoder as TextEncoder
    from coldstart.encoders.tfidf import TfidfEncoder as TfidfEncoder
    from coldstart.errors import ColdstartError as ColdstartError
    from coldstart.errors import ColdstartWarning as ColdstartWarning
    from coldstart.evaluation.protocol import evaluate as evaluate
    from coldstart.evaluation.report import Report as Report
    from coldstart.evaluation.tuning import tune as tune
    from coldstart.finetuning.pretraining import pretrain as pretrain
    from coldstart.finetuning.supervised import finetune as finetune
    from coldstart.fusers.attention import AttentionFuser as AttentionFuser
    from coldstart.fusers.concat import ConcatFuser as ConcatFuser
    from coldstart.fusers.weighted import WeightedFuser as WeightedFuser
    from coldstart.index.exact import ExactIndex as ExactIndex
    from coldstart.index.faiss import FaissIndex as FaissIndex
    from coldstart.rankers.cosine import CosineRanker as CosineRanker
    from coldstart.rankers.hybrid.config import HybridConfig as HybridConfig
    from coldstart.rankers.hybrid.ranker import HybridRanker as HybridRanker
    from coldstart.rankers.mlp.ranker import MLPRanker as MLPRanker
    from coldstart.recommender import Recommender as Recommender
    from coldstart.recommender import load as load

__version__ = "0.1.0"

_HOME = {
    "AttentionFuser": "coldstart.fusers.attention",
    "CachedEncoder": "coldstart.encoders.cached",
    "Catalog": "coldstart.data.catalog",
    "ColdstartError": "coldstart.errors",
    "ColdstartWarning": "coldstart.errors",
    "ConcatFuser": "coldstart.fusers.concat",
    "CosineRanker": "coldstart.rankers.cosine",
    "Encoder": "coldstart.base",
    "ExactIndex": "coldstart.index.exact",
    "FaissIndex": "coldstart.index.faiss",
    "Features": "coldstart.base",
    "Fuser": "coldstart.base",
    "HybridConfig": "coldstart.rankers.hybrid.config",
    "HybridRanker": "coldstart.rankers.hybrid.ranker",
    "Index": "coldstart.base",
    "Interactions": "coldstart.data.interactions",
    "LexicalEncoder": "coldstart.encoders.lexical",
    "MLPRanker": "coldstart.rankers.mlp.ranker",
    "Ranker": "coldstart.base",
    "Recommendations": "coldstart.data.requests",
    "Recommender": "coldstart.recommender",
    "Report": "coldstart.evaluation.report",
    "Request": "coldstart.data.requests",
    "TextEncoder": "coldstart.encoders.text",
    "TfidfEncoder": "coldstart.encoders.tfidf",
    "Users": "coldstart.base",
    "WeightedFuser": "coldstart.fusers.weighted",
    "baselines": "coldstart.baselines",
    "datasets": "coldstart.data.datasets",
    "evaluate": "coldstart.evaluation.protocol",
    "finetune": "coldstart.finetuning.supervised",
    "load": "coldstart.recommender",
    "metrics": "coldstart.metrics",
    "pretrain": "coldstart.finetuning.pretraining",
    "splits": "coldstart.data.splits",
    "testing": "coldstart.testing",
    "tune": "coldstart.evaluation.tuning",
}
"""Where each name lives; it is imported when it is first used, so that ``import coldstart`` costs nothing."""

__all__ = [*_HOME, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'coldstart' has no attribute {name!r}")
    home = import_module(_HOME[name])
    value = home if _HOME[name].endswith(f".{name}") else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
