# Reads what stands on standard input as Microsoft's own library reads Azure's answer, and says what it found there.
import json
import sys

from azure.mgmt.network.models import AzureReachabilityReport


def read(document):
    """As the library's operation does: by its own classes, whichever generation of them is installed."""
    if hasattr(AzureReachabilityReport, "deserialize"):
        return AzureReachabilityReport.deserialize(document)
    return AzureReachabilityReport(document)


report = read(json.load(sys.stdin))
place = report.provider_location
items = [
    [item.provider, item.azure_location, item.latencies[0].time_stamp.strftime("%Y-%m-%dT%H:%M:%SZ"), item.latencies[0].score]
    for item in report.reachability_report
]
print(json.dumps({"place": [report.aggregation_level, place.country, place.state], "items": items}))
