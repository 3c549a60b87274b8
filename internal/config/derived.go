package config

import "cmp"

// Protocol is the group protocol that this instance joins by: GroupClassic or GroupConsumer. offered says that the
// brokers offer the latter.
func (k Kafka) Protocol(offered bool) string {
	switch {
	case k.GroupProtocol != GroupAuto:
		return k.GroupProtocol
	case offered:
		return GroupConsumer
	}
	return GroupClassic
}

// ResultSubject is what the registry has the schema of results under: by default what Confluent's serializers take
// (TopicNameStrategy).
func (c Config) ResultSubject() string {
	return cmp.Or(c.Results.Registry.Subject, c.Topics.Results+"-value")
}

// RequestSubjects are those that a registry may have the schemas of requests under, by default likewise.
func (c Config) RequestSubjects() []string {
	if len(c.Requests.Registry.Subjects) > 0 {
		return c.Requests.Registry.Subjects
	}
	return []string{c.Topics.Requests + "-value"}
}

// TransactionalID is the transactional.id of this instance: the same after a restart, which then ends at once what the
// instance before it has left open.
func (c Config) TransactionalID() string {
	slot := c.Kafka.InstanceID
	if slot == "" {
		slot = c.Instance
	}
	return c.TransactionalIDPrefix() + slot
}

// TransactionalIDPrefix is what the transactional ids of all instances of the group begin with.
func (c Config) TransactionalIDPrefix() string { return "balanceq." + c.Kafka.Group + "." }
