"""The stage of a Spark job."""
