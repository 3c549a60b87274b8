package kafkawire

import (
	"math"
	"time"
)

// Requests have sizes, counts, ids and times of 32 bits; what is larger becomes the largest.

func wireInt(n int) int32 { return int32(min(n, math.MaxInt32)) }

func wireMillis(d time.Duration) int32 { return int32(min(d.Milliseconds(), math.MaxInt32)) }
