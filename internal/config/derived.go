package config

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

// TransactionalID is the transactional.id of this instance: the same after a restart, which then ends at once what the
// instance before it has left open.
func (c Config) TransactionalID() string {
	slot := c.Kafka.InstanceID
	if slot == "" {
		slot = c.Instance
	}
	return "balanceq." + c.Kafka.Group + "." + slot
}
