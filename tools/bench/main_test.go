package main

import (
	"errors"
	"flag"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	o, err := parse([]string{"--mode", "batch,rate", "--delivery", "both",
		"--flag", "kafka.group-protocol=consumer", "--flag", "--log.level=info"}, io.Discard)
	if err != nil || !slices.Equal(o.modes, []string{"batch", "rate"}) || o.rate != 300 ||
		o.latency != 20*time.Millisecond {
		t.Errorf("%+v %v", o, err)
	}
	if want := []string{"--kafka.group-protocol=consumer", "--log.level=info"}; !slices.Equal(o.flags, want) {
		t.Errorf("flags %q, want %q", o.flags, want)
	}
	if o, err := parse([]string{"--mode", "group"}, io.Discard); err != nil || o.rate != groupRate ||
		o.latency != groupLatency {
		t.Errorf("group: rate %d, latency %v, %v", o.rate, o.latency, err)
	}
	o, err = parse([]string{"--mode=group", "--rate=24", "--latency=20ms"}, io.Discard)
	if err != nil || o.rate != 24 || o.latency != 20*time.Millisecond {
		t.Errorf("group, told otherwise: rate %d, latency %v, %v", o.rate, o.latency, err)
	}
	if _, err := parse([]string{"--help"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
}

func TestParseRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"--mode speed":                        `--mode: "speed" is none of batch`,
		"--mode batch,":                       `--mode: "" is none of batch`,
		"--mode batch,group":                  "--mode: group is measured alone",
		"--mode kill --delivery both":         "--delivery both: only batch and rate",
		"--mode group --delivery both":        "--delivery both: only batch and rate",
		"--delivery twice":                    `--delivery: "twice" is neither`,
		"--mode idle --busy 13":               "--busy: must be from 0 to --partitions",
		"--instances some":                    `--instances: "some" is neither`,
		"--kafka image --brokers 127.0.0.1:1": "--kafka and --brokers",
		"--rate 0":                            "--rate",
		"--partitions -1":                     "--partitions",
		"batch":                               `unexpected argument "batch"`,
		"--nonsense":                          "not defined",
	} {
		if _, err := parse(strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}
