//go:build !unix

package telemetry

import "time"

// processCPU: it is not known.
func processCPU() time.Duration { return 0 }
