package preflight

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/rights"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/inspect"
)

// configMigration says whether a group may have members of both protocols. With disabled, it may not; with downgrade,
// members of the classic one may join the others; with upgrade and bidirectional, anybody may (tried on Kafka 4.3.1).
const configMigration = "group.consumer.migration.policy"

// CheckGroup is the check who is in the group, and whether the brokers would let this instance in besides. It does not
// join.
func CheckGroup(ctx context.Context, c *Cluster) ([]finding.Finding, error) {
	cfg := c.cfg
	return c.ask(ctx, func(client *kafkawire.Client) ([]finding.Finding, error) {
		offered, err := client.OffersConsumerProtocol(ctx)
		if err != nil {
			return nil, err
		}
		group, err := inspect.DescribeGroup(ctx, client, cfg.Kafka.Group, offered)
		if kafkawire.Forbidden(err) || err == nil && !group.Operations.Allow("Read") {
			return []finding.Finding{lacks(cfg.Kafka, rights.Right{Operation: "Read", Kind: rights.Group,
				Name: cfg.Kafka.Group})}, nil
		}
		if err != nil {
			return nil, err
		}
		protocol := cfg.Kafka.Protocol(offered)
		var found []finding.Finding
		if len(group.Members) > 0 {
			configs, err := inspect.BrokerConfigs(ctx, client, configMigration)
			if err != nil && !kafkawire.Forbidden(err) {
				return nil, err
			}
			found = obstacles(cfg.Kafka, protocol, group, configs[configMigration])
		}
		found = append(found, firstStart(ctx, client, cfg)...)
		return orSeen(found, "%s: joins as %s, %s", cfg.Kafka.Group, protocol, present(group)), nil
	})
}

// present says who is in the group.
func present(g inspect.Group) string {
	if len(g.Members) == 0 {
		return "no member is in it"
	}
	kind := config.GroupClassic
	if g.Consumer {
		kind = config.GroupConsumer
	}
	if g.Strategy != "" {
		kind += " (" + g.Strategy + ")"
	}
	return fmt.Sprintf("%s in it as %s", count(len(g.Members), "member"), kind)
}

// obstacles are what speaks against joining a group with these members by the protocol. policy is configMigration, ""
// where it is not known.
func obstacles(k config.Kafka, protocol string, g inspect.Group, policy string) []finding.Finding {
	if len(g.Members) == 0 {
		return nil
	}
	closed := func(why, fix string) []finding.Finding {
		// members that have crashed are gone when their session is over
		return []finding.Finding{{Severity: finding.Fail, Passing: true,
			What: fmt.Sprintf("group %s is held by %s, client id %s: %s",
				k.Group, count(len(g.Members), "member"), clients(g.Clients()), why),
			Fix: "stop them first" + fix + ", or set another kafka.group"}}
	}
	switch {
	case !g.Consumer && g.Type != inspect.ClassicType:
		return closed(fmt.Sprintf("they use it for something else (protocol type %s)", g.Type), "")
	case !g.Consumer && protocol == config.GroupClassic && g.Strategy != "" && g.Strategy != group.Strategy:
		return closed(
			fmt.Sprintf(
				"they share out partitions by %s and this instance by %s, and the brokers let no two strategies into a group",
				g.Strategy, group.Strategy), " (all of them: old and new cannot take turns one by one)")
	case !g.Consumer && protocol == config.GroupConsumer && (policy == "disabled" || policy == "downgrade"),
		g.Consumer && protocol == config.GroupClassic && policy == "disabled":
		theirs := config.GroupClassic
		if g.Consumer {
			theirs = config.GroupConsumer
		}
		return closed(
			fmt.Sprintf(
				"they speak the %s protocol and this instance the %s one, and the brokers do not let both into a group (%s=%s)",
				theirs, protocol, configMigration, policy),
			fmt.Sprintf(", or set kafka.group-protocol to %s, or %s to bidirectional", theirs, configMigration))
	case g.Strategy == group.Strategy:
		return nil
	}
	// Brokers let these in. Only the client id tells whether they are instances of balanceq.
	others := slices.DeleteFunc(g.Clients(), func(id string) bool { return id == k.ClientID })
	if len(others) == 0 {
		return nil
	}
	return []finding.Finding{{
		Severity: finding.Warn,
		What: fmt.Sprintf("group %s has members with another client id than %s: %s; if they are not instances of balanceq, "+
			"the requests of their partitions stay without an answer", k.Group, k.ClientID, clients(others)),
		Fix: "stop them, or set another kafka.group; give all instances the same kafka.client-id",
	}}
}

// clients lists each client id once, and how many members have it.
func clients(ids []string) string {
	counts := map[string]int{}
	for _, id := range ids {
		counts[id]++
	}
	var texts []string
	for _, id := range slices.Sorted(maps.Keys(counts)) {
		text := cmp.Or(id, "(none)")
		if counts[id] > 1 {
			text += fmt.Sprintf(" (%d times)", counts[id])
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}
