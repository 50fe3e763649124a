"""Typed features to numbers that a network trains well on: fitted on the training part, stored with skops, applied to any rows.

Numbers are mapped to a normal distribution by their quantiles where there are many rows or they are skewed (the usual choice for
networks on tables: Gorishniy et al. 2021, arXiv 2106.11959, section 4.2), else standardised; then missing ones take the median and
get a flag. Categories become one column each; rare ones, and those that training has not seen, share one.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl.errors import DataError

QUANTILE_ROWS = 1000  # from so many training rows on, quantiles are reliable
FEW_VALUES = 10  # up to so many different values, quantiles say nothing
SAME_SHARE = 0.5  # where more than so many are the same (capital gains are mostly 0), quantiles flatten what the others say
SKEWED = 1.0  # moment coefficient from which a number is too skewed to be only standardised
MOST_CATEGORIES = 64
BOUND = 10.0  # features lie within -BOUND .. BOUND, whatever later rows hold
TRUSTED = frozenset({"numpy.dtype"})
STORED_AT = (1980, 1, 1, 0, 0, 0)


def fit(features: pd.DataFrame) -> Any:
    """A sklearn ``ColumnTransformer`` fitted to these rows of typed features (see ``columns.features``)."""
    from sklearn.compose import ColumnTransformer

    categories = [name for name in features if features[name].dtype == object]
    numbers = [name for name in features if name not in categories and features[name].nunique(dropna=False) > 1]
    bent = [name for name in numbers if _wants_quantiles(features[name].to_numpy(np.float64))]
    straight = [name for name in numbers if name not in bent]
    parts = [
        ("quantiles", _scaling(len(features), quantiles=True), bent),
        ("standard", _scaling(len(features), quantiles=False), straight),
        ("categories", _one_hot(len(features)), categories),
    ]
    return ColumnTransformer([part for part in parts if part[2]], sparse_threshold=0.0).fit(features)


def transform(transformer: Any, features: pd.DataFrame) -> NDArray[np.float32]:
    """The rows as ``[rows, features]`` of finite numbers."""
    x = np.asarray(transformer.transform(features), np.float64)
    return np.clip(x, -BOUND, BOUND).astype(np.float32)


def rare_categories(transformer: Any) -> list[str]:
    """The columns of which rare categories are taken together."""
    if "categories" not in transformer.named_transformers_:
        return []
    encoder = transformer.named_transformers_["categories"]
    rare = getattr(encoder, "infrequent_categories_", [None] * len(encoder.feature_names_in_))
    return [name.partition(":")[2] for name, values in zip(encoder.feature_names_in_, rare, strict=True) if values is not None]


def _wants_quantiles(values: NDArray[np.float64]) -> bool:
    present = values[~np.isnan(values)]
    counts = np.unique(present, return_counts=True)[1]
    if len(counts) <= FEW_VALUES or counts.max() > SAME_SHARE * len(present):
        return False
    if len(present) >= QUANTILE_ROWS:
        return True
    with np.errstate(over="ignore", invalid="ignore"):
        centred = present - present.mean()
        skewness = np.mean(centred**3) / np.mean(centred**2) ** 1.5
    return not abs(skewness) <= SKEWED


def _scaling(rows: int, quantiles: bool) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import QuantileTransformer, StandardScaler

    count = min(max(rows // 30, min(rows, 100)), 1000)
    first = [("quantiles", QuantileTransformer(n_quantiles=count, output_distribution="normal", subsample=None))] if quantiles else []
    return Pipeline([*first, ("scale", StandardScaler()), ("fill", SimpleImputer(strategy="median", add_indicator=True))])


def _one_hot(rows: int) -> Any:
    from sklearn.preprocessing import OneHotEncoder

    rare = max(rows // 1000, 1)
    return OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=rare, max_categories=MOST_CATEGORIES, sparse_output=False)


# -- storing -----------------------------------------------------------------------------------------------------------


def dump(transformer: Any) -> bytes:
    """The fitted transformer in the format of skops, the same bytes for the same numbers."""
    import skops.io

    return _settled(skops.io.dumps(transformer))


def load(content: bytes, where: str) -> Any:
    """The transformer that ``dump`` has stored. Builds nothing but scikit-learn's and NumPy's own types."""
    import skops.io

    try:
        zipfile.ZipFile(io.BytesIO(content)).close()
        strange: Sequence[str] = sorted(set(skops.io.get_untrusted_types(data=content)) - TRUSTED)
        transformer = None if strange else skops.io.loads(content, trusted=sorted(TRUSTED))
    except Exception as error:  # skops raises nearly anything for what it has not written itself
        raise DataError(f"{where}: must be stored preprocessing, but cannot be read ({error}). Prepare the data again.") from error
    if strange:
        types = ", ".join(strange)
        raise DataError(f"{where}: must hold types of scikit-learn only, but holds {types}. Do not use a file from a stranger.")
    return transformer


def _settled(content: bytes) -> bytes:
    """The same archive without what differs from process to process: memory addresses in the schema and as file names, and times."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = files.pop("schema.json").decode()
    numbers: dict[str, str] = {}
    address = re.compile(r'(?<="__id__": )\d+|(?<=")\d+(?=\.npy")')
    schema = address.sub(lambda found: numbers.setdefault(found.group(), str(len(numbers) + 1)), schema)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("schema.json", STORED_AT), schema, zipfile.ZIP_DEFLATED)
        for name in sorted(files, key=lambda name: int(numbers[name.removesuffix(".npy")])):
            archive.writestr(zipfile.ZipInfo(f"{numbers[name.removesuffix('.npy')]}.npy", STORED_AT), files[name], zipfile.ZIP_DEFLATED)
    return out.getvalue()
