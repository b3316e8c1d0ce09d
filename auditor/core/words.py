"""What readers call metrics, columns and units; `auditor.wording` makes sentences of them."""

from __future__ import annotations

SHARES = (
    "input.missing_rate",
    "input.failed_rate",
    "input.null_rate",
    "input.unseen_rate",
    "input.type_changed",
    "alignment.concordance.ratio",
    "alignment.cosine.ratio",
    "capture.loss",
    "capture.coverage",
    "labels.coverage",
    "output.refusal_rate",
    "output.incomplete_rate",
    "output.invalid_rate",
    "canary.changed_share",
    "quality.accuracy",
    "quality.balanced_accuracy",
    "quality.recall",
    "quality.estimated_accuracy",
)
"""Metrics of unit 1 that readers expect as a percentage; rates of groups are as well."""

UNITS = {
    "kg{CO2e}": "kg CO2e",
    "g{CO2e}/{R}": "g CO2e per answer",
    "{inference}": "calls",
    "1": "",
}

MODALITIES = ("image", "text", "audio", "video", "tabular", "series", "point_cloud", "embedding")
"""Kinds of input, which are also the kinds of alert about the drift of one."""

METRICS = {
    "drift.ks": "distance to the baseline (Kolmogorov-Smirnov)",
    "drift.psi": "population stability index",
    "drift.jensen_shannon": "distance to the baseline (Jensen-Shannon)",
    "drift.wasserstein": "distance to the baseline (Wasserstein)",
    "drift.mmd2": "distance to the baseline (kernel MMD, squared)",
    "drift.frechet": "distance to the baseline (Frechet)",
    "drift.kid": "distance to the baseline (KID)",
    "drift.domain_auc": "how well a classifier tells window from baseline (AUC)",
    "drift.union": "distance of the column that speaks most clearly for a change",
    "drift.evidently": "drift score of Evidently",
    "drift.e_value": "evidence against no change (e-value)",
    "input.missing_rate": "share of records without this input",
    "input.null_rate": "share of records without a value",
    "input.unseen_rate": "share of values that the baseline has not",
    "input.type_changed": "share of values of another type",
    "alignment.concordance": "agreement between the two inputs",
    "alignment.concordance.ratio": "agreement between the two inputs relative to the baseline",
    "alignment.cosine": "cosine between the two embeddings",
    "alignment.cosine.ratio": "cosine between the two embeddings relative to the baseline",
    "alignment.cca": "canonical agreement between the two embeddings",
    "alignment.cca.ratio": "canonical agreement between the two embeddings relative to the baseline",
    "alignment.gap_norm": "distance between the means of the two embeddings",
    "alignment.gap_angle": "turn of the difference between the two embeddings since the baseline",
    "input.distinct_share": "share of the payloads that are distinct",
    "input.failed_rate": "share of records whose input could not be described",
    "output.refusal_rate": "share of answers that were refused",
    "output.incomplete_rate": "share of answers that broke off",
    "output.invalid_rate": "share of answers that their caller cannot use",
    "canary.changed_share": "share of canary answers that the baseline never gave",
    "quality.macro_f1": "macro-averaged F1",
    "quality.mae": "mean absolute error",
    "quality.rmse": "root mean squared error",
    "quality.bias": "mean signed error",
    "quality.wer": "word error rate",
    "quality.balanced_accuracy": "balanced accuracy",
    "quality.accuracy": "accuracy",
    "quality.estimated_accuracy": "accuracy, estimated without ground truth",
    "labels.coverage": "share of records with ground truth",
    "labels.delay_p50": "median delay of ground truth",
    "energy.active": "energy that calls used",
    "energy.idle": "energy used while idle",
    "energy.per_inference": "energy per answer",
    "energy.per_inference.ratio": "energy per answer relative to the baseline",
    "carbon.emitted": "emissions (location-based)",
    "carbon.sci": "Software Carbon Intensity per answer",
    "latency.p50": "median latency",
    "latency.p95": "latency, 95th percentile",
    "capture.seen": "calls seen",
    "capture.described": "calls described",
    "capture.dropped": "calls lost",
    "capture.refused": "records refused",
    "capture.undeclared": "calls that no agent counted",
    "capture.loss": "share of the calls seen that were lost (sampling is no loss)",
    "capture.coverage": "share of the calls seen that reached the archive",
}
"""What readers call the metrics; families without a line here have a pattern."""

HEAD = "head."
"""Begins the columns that the model itself says about an input, beside those that the payload says."""

COLUMNS = {
    "bandwidth_hz": "bandwidth (Hz)",
    "centroid_hz": "spectral centroid (Hz)",
    "dc_offset": "DC offset",
    "floor_dbfs": "background level (dBFS)",
    "hf_share": "share of high frequencies",
    "level_dbfs": "sound level (dBFS)",
    "rolloff95_hz": "95 % roll-off frequency (Hz)",
    "snr_db": "signal-to-noise ratio (dB)",
    "zcr": "zero-crossing rate",
}
"""Descriptors whose own names only their makers read."""

_SUFFIXES = {"_hz": " (Hz)", "_db": " (dB)", "_dbfs": " (dBFS)", "_s": " (s)", "_p01": " (1st percentile)",
             "_p99": " (99th percentile)"}  # fmt: skip
