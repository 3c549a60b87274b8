package inspect

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// The table is what the source sends: each request that is made is in it, in that version, and nothing else is.
func TestAPIsAreThoseOfTheSource(t *testing.T) {
	t.Parallel()
	made := regexp.MustCompile(`kmsg\.NewPtr(\w+)Request\(\)`)
	versioned := regexp.MustCompile(`kmsg\.NewPtr(\w+)Request\(\)}?\n\t+req\.Version(?:, req\.\w+)* = (\d+)`)
	files, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	source := map[string]bool{}
	for _, name := range append(files, here...) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		code, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		with := versioned.FindAllStringSubmatch(string(code), -1)
		without := len(made.FindAllString(string(code), -1)) - len(with)
		if name == "versions.go" || name == "../client.go" {
			without-- // ApiVersions, in version 0, which every broker answers: to ask for the versions, to connect ahead
		}
		if without != 0 {
			t.Errorf("%s: %d requests without a version on the next line", name, without)
		}
		for _, m := range with {
			source[m[1]+" "+m[2]] = true
		}
	}
	table := map[string]bool{}
	for _, api := range APIs(ClassicMember, ConsumerMember, Transactions, Login) {
		entry := api.Key.Name() + " " + strconv.Itoa(int(api.Version))
		if table[entry] {
			t.Errorf("%s is twice in the table", entry)
		}
		table[entry] = true
		if !source[entry] {
			t.Errorf("%s is in the table and not in the source", entry)
		}
	}
	for entry := range source {
		if !table[entry] {
			t.Errorf("%s is in the source and not in the table", entry)
		}
	}
}

// The releases are right: the one before does not have the version. franz-go has a table of its own.
func TestReleases(t *testing.T) {
	t.Parallel()
	releases := kversion.VersionStrings() // the newest first
	for _, api := range APIs(ClassicMember, ConsumerMember, Transactions, Login) {
		oldest := ""
		for _, release := range releases {
			if highest, ok := kversion.FromString(release).LookupMaxKeyVersion(api.Key.Int16()); ok && highest >= api.Version {
				oldest = release
			}
		}
		if want := "v" + api.Kafka.String(); oldest != want {
			t.Errorf("%s %d is of %s, the table says %s", api.Key.Name(), api.Version, oldest, want)
		}
	}
}

func TestReleasesCompare(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, b Release
		want int
	}{{Release{3, 9}, Release{3, 10}, -1}, {Release{4, 0}, Release{3, 9}, 1}, {Release{3, 2}, Release{3, 2}, 0}} {
		if got := test.a.Compare(test.b); got != test.want {
			t.Errorf("%v and %v: %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

// allAPIs is all that is sent to any broker of the supported releases.
var allAPIs = APIs(ClassicMember, Transactions)

func texts(refused []Refusal) (all []string) {
	for _, r := range refused {
		all = append(all, r.String())
	}
	return all
}

func TestBrokersRefuse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		brokers *kversion.Versions
		apis    []API
		want    []string
	}{
		"3.2": {kversion.V3_2_0(), allAPIs, nil},
		"3.1": {kversion.V3_1_0(), allAPIs, []string{
			"JoinGroup up to version 7 (9 is sent, of Kafka 3.2 and later)",
			"LeaveGroup up to version 4 (5 is sent, of Kafka 3.2 and later)",
		}},
		"2.8 and transactions": {kversion.V2_8_0(), APIs(Transactions), []string{
			"Metadata up to version 11 (12 is sent, of Kafka 3.1 and later)",
			"Fetch up to version 12 (13 is sent, of Kafka 3.1 and later)",
			"DescribeTransactions is not known (version 0 is sent, of Kafka 3.0 and later)",
		}},
		"3.9 and KIP-848": {kversion.V3_9_0(), APIs(ConsumerMember), []string{
			"ConsumerGroupHeartbeat up to version 0 (1 is sent, of Kafka 4.0 and later)",
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := kafkatest.Embedded(t, kfake.NumBrokers(2), kfake.MaxVersions(test.brokers))
			brokers, err := Brokers(deadline(t), wire(t, cluster.ListenAddrs()), test.apis)
			if err != nil || len(brokers) != 2 {
				t.Fatalf("%d brokers, %v", len(brokers), err)
			}
			for _, b := range brokers {
				if got := texts(b.Refusals); !slices.Equal(got, test.want) || b.Err != nil {
					t.Errorf("broker %d: %q, %v; want %q", b.ID, got, b.Err, test.want)
				}
				if !slices.Contains(cluster.ListenAddrs(), b.Address) {
					t.Errorf("broker %d is at %s", b.ID, b.Address)
				}
			}
		})
	}
}

// What brokers have dropped is told apart from what they do not have yet.
func TestBrokersTooNew(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t)
	cluster.ControlKey(int16(kmsg.ApiVersions), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
		for _, key := range []kmsg.Key{kmsg.ApiVersions, kmsg.Metadata, kmsg.Fetch} {
			k := kmsg.NewApiVersionsResponseApiKey()
			k.ApiKey, k.MaxVersion = key.Int16(), 13
			if key == kmsg.Fetch {
				k.MinVersion = 12
			}
			resp.ApiKeys = append(resp.ApiKeys, k)
		}
		return resp, nil, true
	})
	brokers, err := Brokers(deadline(t), wire(t, cluster.ListenAddrs()), []API{{kmsg.Fetch, 11, Release{2, 3}}})
	if err != nil {
		t.Fatal(err)
	}
	refused := brokers[0].Refusals
	if len(refused) != 1 || !refused[0].TooNew() || refused[0].String() != "Fetch from version 12 to 13 (11 is sent)" {
		t.Errorf("refused %+v: %q", refused, texts(refused))
	}
}

// A broker that cannot be asked is told, and the others count; where none can be asked, that is an error.
func TestBrokersThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.NumBrokers(3))
	const dead = 1
	var all atomic.Bool
	cluster.ControlKey(int16(kmsg.ApiVersions), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if all.Load() || cluster.CurrentNode() == dead {
			return nil, os.ErrClosed, true
		}
		return nil, nil, false
	})
	c := wire(t, cluster.ListenAddrs())
	var brokers []Broker
	// the first connection may go to the dead one
	kafkatest.Eventually(t, within, "the brokers are listed", func() (ok bool) {
		var err error
		brokers, err = Brokers(deadline(t), c, allAPIs)
		return err == nil
	})
	for _, b := range brokers {
		if (b.Err != nil) != (b.ID == dead) || len(b.Refusals) != 0 {
			t.Errorf("broker %d: %v, %q", b.ID, b.Err, texts(b.Refusals))
		}
	}
	if len(brokers) != 3 {
		t.Errorf("%d brokers, want 3", len(brokers))
	}
	all.Store(true)
	c.Reset()
	if brokers, err := Brokers(deadline(t), c, allAPIs); err == nil {
		t.Errorf("brokers %+v without an error", brokers)
	}
}

// The brokers that these tests run on take everything that is sent to them.
func TestBrokersTakeAll(t *testing.T) {
	t.Parallel()
	c := wire(t, kafkatest.Shared(t).Brokers())
	uses := []Use{ClassicMember, Transactions}
	offered, err := c.OffersConsumerProtocol(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	if offered {
		uses = append(uses, ConsumerMember)
	}
	brokers, err := Brokers(deadline(t), c, APIs(uses...))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range brokers {
		if b.Err != nil || len(b.Refusals) != 0 {
			t.Errorf("broker %d: %v, %q", b.ID, b.Err, texts(b.Refusals))
		}
	}
}
