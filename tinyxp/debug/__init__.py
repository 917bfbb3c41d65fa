"""Tools that find errors in a model: gradient doctor, anomaly detection, graph pictures."""

from tinyxp.debug.anomaly import detect_anomaly
from tinyxp.debug.doctor.examination import Doctor, doctor
from tinyxp.debug.doctor.report import Finding, Report, Row
from tinyxp.debug.pictures.picture import Graph, graph
from tinyxp.debug.sites import Site
from tinyxp.debug.watch import CutEdge, Watch

__all__ = [
    "CutEdge", "Doctor", "Finding", "Graph", "Report", "Row", "Site", "Watch", "detect_anomaly",
    "doctor", "graph",
]  # fmt: skip
