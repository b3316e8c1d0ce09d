"""Flight recorder and inspector of deployed multimodal AI."""

__version__ = "0.1.0"
