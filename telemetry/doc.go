// Package telemetry makes what the pipeline does visible: logs, Prometheus metrics and health. The other packages know
// nothing of it; it implements the small observer interfaces that they declare and reads their snapshots.
package telemetry
