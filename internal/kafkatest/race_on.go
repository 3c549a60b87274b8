//go:build race

package kafkatest

// Race says whether this program was built with the race detector.
const Race = true
