package config

import "testing"

func TestGroupProtocol(t *testing.T) {
	for _, test := range []struct {
		set     string
		offered bool
		want    string
	}{
		{GroupAuto, true, GroupConsumer}, {GroupAuto, false, GroupClassic},
		{GroupClassic, true, GroupClassic}, {GroupConsumer, false, GroupConsumer},
	} {
		k := Kafka{GroupProtocol: test.set}
		if got := k.Protocol(test.offered); got != test.want {
			t.Errorf("%s, offered %v: %s", test.set, test.offered, got)
		}
	}
}
