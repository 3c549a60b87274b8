// Package stepped makes times as a step of the wall clock leaves them, for tests of decisions that must not notice.
package stepped

import (
	"time"
	"unsafe"
)

// secondsShift is where package time keeps the seconds of a time with a monotonic reading: above 30 bits of
// nanoseconds.
const secondsShift = 30

// Time returns t, which must have a monotonic reading, as it is read after the wall clock was stepped by whole seconds:
// the monotonic reading is the same.
func Time(t time.Time, by time.Duration) time.Time {
	// A negative step wraps around, which is what subtracts it.
	//nolint:gosec // package time has no way
	*(*uint64)(unsafe.Pointer(&t)) += uint64(int64(by/time.Second)) << secondsShift
	return t
}
