package app

import (
	"context"
	"fmt"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/kafkawire"
)

// membership is the way into the group that the configuration asks for.
func membership(ctx context.Context, cfg config.Config, wire *kafkawire.Client,
	log zerolog.Logger) (consumer.Membership, error) {
	offered := false
	if cfg.Kafka.GroupProtocol == config.GroupAuto {
		var err error
		if offered, err = wire.OffersConsumerProtocol(ctx); err != nil {
			return nil, fmt.Errorf("choosing kafka.group-protocol: %w", err)
		}
	}
	if cfg.Kafka.Protocol(offered) == config.GroupConsumer {
		return group.NewKIP848(memberConfig(cfg), wire, log), nil
	}
	return group.NewClassic(group.ClassicConfig{Config: memberConfig(cfg), SessionTimeout: cfg.Kafka.SessionTimeout}, wire,
		log), nil
}
