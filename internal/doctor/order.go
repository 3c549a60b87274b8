package doctor

import (
	"context"
	"fmt"
	"hash/crc32"
	"hash/maphash"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/preflight"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/tail"
	"github.com/balanceq/balanceq/schemas"
)

// orderSample is how many of the last offsets are looked at, over all partitions.
const orderSample = 20_000

// checkOrder looks at the last requests for contracts that stand in several partitions, and for what they want of their
// results: those are noted in w, for the check after this one. What cannot be read is passed over: run and the check of
// the topics tell about it.
func checkOrder(ctx context.Context, cfg config.Config, w *wishes) []finding.Finding {
	settings, err := connect.Kafka(cfg)
	if err != nil {
		return failed(err, "correct kafka.tls and kafka.sasl")
	}
	client := kafkawire.NewClient(settings)
	defer client.Close()
	s, err := sampleRequests(ctx, client, cfg.Topics.Requests, w)
	if err != nil && s.requests == 0 {
		return warn(fmt.Sprintf("the last requests of %s could not be read: %v", cfg.Topics.Requests, err),
			preflight.KafkaFix(err))
	}
	return s.describe(cfg.Topics.Requests)
}

// sampleRequests reads the last requests of the topic. With an error, it has those that were read before.
func sampleRequests(ctx context.Context, client *kafkawire.Client, topic string, w *wishes) (*placement, error) {
	s := newPlacement(0)
	partitions, err := client.Partitions(ctx, topic)
	if err != nil {
		return s, err
	}
	s = newPlacement(len(partitions))
	ends, err := client.ListOffsets(ctx, topic, partitions, kafkawire.Latest)
	if err != nil {
		return s, err
	}
	within := map[int32]tail.Span{}
	for p, end := range ends {
		within[p] = tail.Span{From: max(0, end-orderSample/int64(len(partitions))), To: end}
	}
	reader := tail.Reader{Client: client, Topic: topic, From: kafkawire.Earliest, Within: within, ToEnd: true,
		Skipped: func(int32, tail.Span, error) {}}
	return s, reader.Read(ctx, func(p int32, rec *kafkawire.Record) bool {
		s.add(p, rec)
		w.add(rec)
		return true
	})
}

// placement is where requests stand: which partitions have a contract's, and by which keys.
type placement struct {
	all       []int // 0…n-1, as KeyPartition wants them
	requests  int   // with a contract
	keyed     int   // of those, with a key
	murmur2   int   // of those, where Java's default partitioner puts the key
	crc32     int   // not there, but where librdkafka's does (rd_kafka_msg_partitioner_consistent_random)
	contracts map[int64]contractPlaces
}

// contractPlaces are the partitions of a contract's requests by the hash of the key that they have; noKey for none.
type contractPlaces map[uint64]map[int32]bool

const noKey = 0

// keySeed hashes keys, which may be long. Two keys of one hash are too unlikely to matter to a sample.
var keySeed = maphash.MakeSeed()

func newPlacement(partitions int) *placement {
	s := &placement{contracts: map[int64]contractPlaces{}}
	for i := range partitions {
		s.all = append(s.all, i)
	}
	return s
}

// add takes a record of a partition. Records that are no requests say nothing about order.
func (s *placement) add(partition int32, rec *kafkawire.Record) {
	request, err := schemas.DecodeRequest(&schemas.Record{Key: rec.Key, Value: rec.Value, Headers: rec.Headers,
		Time: rec.Time})
	if err != nil {
		return
	}
	s.requests++
	if len(rec.Key) > 0 && len(s.all) > 0 {
		s.keyed++
		switch int(partition) {
		case kafkawire.KeyPartition(rec.Key, s.all...):
			s.murmur2++
		case int(crc32.ChecksumIEEE(rec.Key) % uint32(len(s.all))): //nolint:gosec // as librdkafka reckons
			s.crc32++
		}
	}
	places := s.contracts[request.ContractID]
	if places == nil {
		places = contractPlaces{}
		s.contracts[request.ContractID] = places
	}
	key := uint64(noKey)
	if len(rec.Key) > 0 {
		key = maphash.Bytes(keySeed, rec.Key)
	}
	if places[key] == nil {
		places[key] = map[int32]bool{}
	}
	places[key][partition] = true
}

// describe tells contracts whose requests have one key and several partitions, which is a mistake, from those whose
// keys differ or are absent, which publishers may mean.
func (s *placement) describe(topic string) []finding.Finding {
	var mixed, differing []int64
	for contract, places := range s.contracts {
		partitions := map[int32]bool{}
		same := false
		for key, of := range places {
			same = same || key != noKey && len(of) > 1
			maps.Copy(partitions, of)
		}
		switch {
		case same:
			mixed = append(mixed, contract)
		case len(partitions) > 1:
			differing = append(differing, contract)
		}
	}
	seen := fmt.Sprintf("%d requests of %d contracts in %s", s.requests, len(s.contracts), topic)
	if len(differing) > 0 {
		seen += fmt.Sprintf(
			"; %d contracts, for example %s, stand in several partitions because their requests have different keys or "+
				"none: their order is not kept", len(differing), s.example(differing))
	}
	if len(mixed) == 0 {
		return ok(seen)
	}
	share := func(n int) string { return strconv.Itoa(100*n/s.keyed) + " %" }
	return warn(
		fmt.Sprintf("%s\n%d contracts, for example %s, stand in several partitions by one key, so their order is not kept; "+
			"of the keys %s are where murmur2 puts them, %s where CRC32 does (librdkafka: Python, Node, kcat)",
			seen, len(mixed), s.example(mixed), share(s.murmur2), share(s.crc32)),
		"let all publishers pick partitions by murmur2: partitioner=murmur2_random for librdkafka, see Order in "+
			"docs/guarantees.md; "+
			"if partitions were just added, this is over when the older requests are")
}

// example is the lowest of the contracts and its partitions.
func (s *placement) example(contracts []int64) string {
	contract := slices.Min(contracts)
	partitions := map[int32]bool{}
	for _, of := range s.contracts[contract] {
		maps.Copy(partitions, of)
	}
	var texts []string
	for _, p := range slices.Sorted(maps.Keys(partitions)) {
		texts = append(texts, strconv.Itoa(int(p)))
	}
	return schemas.Mask(strconv.FormatInt(contract, 10)) + " in " + strings.Join(texts, ", ")
}
