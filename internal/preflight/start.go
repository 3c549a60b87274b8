package preflight

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/kafkawire"
)

// firstStart tells what a group that has committed nothing in the request topic is about to do with the requests in it:
// a mistyped kafka.group would answer, or skip, all of them without a word. It says nothing where the brokers do not
// tell; the checks of topics and group say why.
func firstStart(ctx context.Context, client *kafkawire.Client, cfg config.Config) []finding.Finding {
	topic := cfg.Topics.Requests
	all, err := client.Partitions(ctx, topic)
	if err != nil {
		return nil
	}
	committed, err := client.CommittedOffsets(ctx, cfg.Kafka.Group, topic, all)
	if err != nil {
		return nil // an open transaction over an offset: it has committed something
	}
	for _, o := range committed {
		if o.Offset != kafkawire.NoOffset {
			return nil
		}
	}
	var at [3]map[int32]int64
	for i, time := range []int64{kafkawire.Earliest, connect.Start(cfg.Kafka.Start, time.Now()), kafkawire.Latest} {
		at[i], _ = client.ListOffsets(ctx, topic, all, time) // a partition without a leader has no answer
	}
	var answered, skipped int64
	for id, end := range at[2] {
		begin, known := at[1][id]
		if begin < 0 {
			begin = end // all of them are older
		}
		if first, ok := at[0][id]; ok && known {
			answered += end - begin
			skipped += begin - first
		}
	}
	return describeFirstStart(cfg.Kafka, topic, answered, skipped)
}

func describeFirstStart(k config.Kafka, topic string, answered, skipped int64) []finding.Finding {
	if answered+skipped == 0 {
		return nil
	}
	var becomes []string
	if answered > 0 {
		becomes = append(becomes, fmt.Sprintf("%d are answered, also those that another group has answered", answered))
	}
	if skipped > 0 {
		becomes = append(becomes, fmt.Sprintf("%d are skipped", skipped))
	}
	return []finding.Finding{{
		Key: "kafka.group", Severity: finding.Warn,
		What: fmt.Sprintf("%s has committed nothing in topic %s, which holds requests: with kafka.start=%s, %s",
			k.Group, topic, k.Start, strings.Join(becomes, ", ")),
		Fix: "if that is not what you want, correct kafka.group, or set kafka.start to earliest, latest, a time or an age; " +
			"it counts for the first start only",
	}}
}
