"""MLflow as a mirror of the study's events: it owns no state and can be made again at any time. Importing this does not import MLflow."""

from automl.tracking.address import OFF, redacted, resolve_uri, restore_command, sqlite_path
from automl.tracking.content import StudyHeader, Summary
from automl.tracking.level import Level
from automl.tracking.mirror import Mirror, MirrorReport

__all__ = ["OFF", "Level", "Mirror", "MirrorReport", "StudyHeader", "Summary", "redacted", "resolve_uri", "restore_command", "sqlite_path"]
