// Package telemetry makes what the pipeline does visible: logs, Prometheus metrics and health. The other packages know
// nothing of it; it implements the small observer interfaces that they declare and reads their snapshots.
//
// It is a part of the program, and no API: what is exported changes without notice.
package telemetry
