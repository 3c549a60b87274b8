package main

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// batch is where a record batch ends: in its segment, and in the log.
type batch struct {
	bytes int   // from the start of the segment
	next  int64 // the offset behind it
}

// batchesOf reads the heads of the record batches of a segment
// (https://kafka.apache.org/documentation/#recordbatch). It stops at one that is not whole, as brokers do.
func batchesOf(segment []byte) (all []batch) {
	const head, lastDelta, least = 12, 23, 61 // up to the length, of the last offset delta, of a batch without records
	for at := 0; len(segment)-at >= least; {
		size := int(int32(binary.BigEndian.Uint32(segment[at+8:])))
		if size < least-head || size > len(segment)-at-head {
			return all
		}
		next := int64(binary.BigEndian.Uint64(segment[at:])) + int64(binary.BigEndian.Uint32(segment[at+lastDelta:])) + 1
		at += head + size
		all = append(all, batch{at, next})
	}
	return all
}

// keep returns where a segment has to end for about that many records to be gone, but not more than half of the log.
func keep(all []batch, drop int64) batch {
	if len(all) == 0 {
		return batch{}
	}
	end := all[len(all)-1].next
	drop = min(drop, end/2)
	kept := batch{}
	for _, b := range all {
		if b.next > end-drop {
			break
		}
		kept = b
	}
	return kept
}

// cutLog takes the last records of a partition from the disk of a node that has ended, and returns where it ends now.
// What a broker finds out again from the log (indexes, the state of producers) is taken away, as a power cut may have
// it.
func (c *cluster) cutLog(ctx context.Context, n *node, topic string, partition int32, drop int64) (int64, error) {
	dir := fmt.Sprintf("%s/logs/%s-%d/", n.disk(), topic, partition)
	const segment = "00000000000000000000" // the only one: segments are larger than a run's log
	text, err := c.mustOnDisk(ctx, "base64", dir+segment+".log")
	if err != nil {
		return 0, err
	}
	log, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", dir, err)
	}
	kept := keep(batchesOf(log), drop)
	_, err = c.mustOnDisk(ctx, "sh", "-c", "cd "+dir+" && truncate -s "+strconv.Itoa(kept.bytes)+" "+segment+".log && "+
		"rm -f *.index *.timeindex *.txnindex *.snapshot")
	return kept.next, err
}

// mustOnDisk is onDisk; a command that fails is an error.
func (c *cluster) mustOnDisk(ctx context.Context, command ...string) (string, error) {
	code, said, err := c.onDisk(ctx, command...)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s ended with %d: %s", command[0], code, said)
	}
	return said, err
}
