package main

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/balanceq/balanceq/internal/wait"
)

// behind names the partitions whose ends a read-committed reader does not get to.
func behind(stable, ends map[string]map[int32]int64) string {
	var short []string
	for topic, partitions := range ends {
		for partition, end := range partitions {
			if stable[topic][partition] < end {
				short = append(short, fmt.Sprintf("%s/%d (%d of %d)", topic, partition, stable[topic][partition], end))
			}
		}
	}
	slices.Sort(short)
	return strings.Join(short, ", ")
}

// quiesced waits until no transaction is under way in the topics and returns their ends.
func (w *collector) quiesced(ctx context.Context, names ...string) (map[string]map[int32]int64, error) {
	for {
		stable, err := w.ends(ctx, readCommitted, names...)
		if err != nil {
			return nil, err
		}
		ends, err := w.ends(ctx, readUncommitted, names...)
		if err != nil {
			return nil, err
		}
		if reflect.DeepEqual(stable, ends) {
			return ends, nil
		}
		if !wait.Sleep(ctx, sampling) {
			return nil, fmt.Errorf("transactions in %s have not ended: %w", behind(stable, ends), ctx.Err())
		}
	}
}
