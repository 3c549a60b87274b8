package doctor

import (
	"hash/crc32"
	"strconv"
	"strings"
	"testing"

	"github.com/balanceq/balanceq/kafkawire"
)

// Where publishers put a contract's requests, and what is said of it.
func TestPlacement(t *testing.T) {
	const partitions = 12
	s := func(contract int, key string, partition int) func(*placement) {
		return func(p *placement) {
			rec := &kafkawire.Record{Value: []byte(`{"contractId":"` + strconv.Itoa(contract) + `","balanceCodes":["A"]}`)}
			if key != "" {
				rec.Key = []byte(key)
			}
			if partition < 0 { // by one of the hashes
				partition = kafkawire.KeyPartition(rec.Key, newPlacement(partitions).all...)
			}
			p.add(int32(partition), rec)
		}
	}
	java := func(contract int) func(*placement) { return s(contract, strconv.Itoa(contract), -1) }
	librdkafka := func(contract int) func(*placement) {
		key := strconv.Itoa(contract)
		return s(contract, key, int(crc32.ChecksumIEEE([]byte(key))%partitions))
	}
	garbage := func(p *placement) { p.add(3, &kafkawire.Record{Key: []byte("k"), Value: []byte("no request")}) }
	for name, test := range map[string]struct {
		records []func(*placement)
		status  Status
		detail  []string
	}{
		"nothing": {nil, OK, []string{"0 requests of 0 contracts in q"}},
		"one hash": {[]func(*placement){java(70001), java(70001), java(70002)}, OK,
			[]string{"3 requests of 2 contracts"}},
		"another hash": {[]func(*placement){librdkafka(70001), librdkafka(70001)}, OK,
			[]string{"2 requests of 1 contracts"}},
		"keys of a kind": {[]func(*placement){s(70001, "customer-1", 4), s(70001, "customer-1", 4)}, OK,
			[]string{"of 1 contracts in q"}},
		"two hashes": {[]func(*placement){java(70001), librdkafka(70001), java(70001), java(70001)}, Warn,
			[]string{"\n1 contracts, for example 70001 in ", "75 % are where murmur2", "25 % where CRC32"}},
		"by hand": {[]func(*placement){s(70001, "70001", 2), s(70001, "70001", 3), s(70009, "70009", 3),
			s(70009, "70009", 10)}, Warn,
			[]string{"2 contracts, for example 70001 in 2, 3"}},
		"own keys": {[]func(*placement){s(70001, "a", 1), s(70001, "b", 2)}, OK,
			[]string{"70001 in 1, 2", "different keys or none"}},
		"no keys": {[]func(*placement){s(70001, "", 1), s(70001, "", 2)}, OK,
			[]string{"70001 in 1, 2", "their order is not kept"}},
		"some keyed": {[]func(*placement){java(70001), s(70001, "", 0), s(70001, "", 1)}, OK,
			[]string{"different keys or none"}},
		"no request": {[]func(*placement){garbage, garbage}, OK, []string{"0 requests of 0"}},
		"a card number": {[]func(*placement){s(4111111111111111, "x", 1), s(4111111111111111, "x", 2)}, Warn,
			[]string{"1 contracts, for example "}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlacement(partitions)
			for _, add := range test.records {
				add(p)
			}
			got := summary("", p.describe("q"))
			if got.Status != test.status || (got.Fix != "") != (test.status == Warn) {
				t.Errorf("%+v", got)
			}
			for _, word := range test.detail {
				if !strings.Contains(got.Detail, word) {
					t.Errorf("it does not say %q: %s", word, got.Detail)
				}
			}
			if test.status == Warn && !strings.Contains(got.Fix, "partitioner=murmur2_random") {
				t.Errorf("the fix is %q", got.Fix)
			}
			if strings.Contains(got.Detail, "4111111111111111") {
				t.Error("a card number is shown")
			}
		})
	}
}
