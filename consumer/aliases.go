package consumer

import "github.com/balanceq/balanceq/consumer/group"

// These names of package group stay until their users below cmd have moved.
type (
	// Classic is group.Classic.
	Classic = group.Classic
	// ClassicConfig is group.ClassicConfig.
	ClassicConfig = group.ClassicConfig
	// MemberConfig is group.MemberConfig.
	MemberConfig = group.MemberConfig
	// KIP848 is group.KIP848.
	KIP848 = group.KIP848
	// Owner is group.Owner.
	Owner = group.Owner
	// Epoch is group.Lease.
	Epoch = group.Lease
)

// These are package group's, too.
var (
	NewClassic = group.NewClassic
	NewKIP848  = group.NewKIP848
)

// Strategy is group.Strategy.
const Strategy = group.Strategy
