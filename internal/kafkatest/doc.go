// Package kafkatest gives the tests of one package one Kafka broker, topics of their own, and an independent view of
// what is in them.
//
//	func TestMain(m *testing.M) { kafkatest.Main(m) }
//
//	func TestDelivery(t *testing.T) {
//		broker := kafkatest.Shared(t)
//		topic := broker.Topic(t, 3)
//		broker.Produce(t, topic, kafka.Message{Value: []byte("hello")})
//		got := broker.Read(t, topic, 1)
//		…
//	}
//
// # Which broker
//
// Main chooses before the first test, and says what it chose in the first line of the test output:
//
//  1. BALANCEQ_TEST_BROKERS (host:port, comma-separated): that cluster;
//  2. a container of the image BALANCEQ_TEST_KAFKA_IMAGE (default DefaultImage), pulled where the engine lacks it;
//  3. where no container engine answers or the image cannot be had: franz-go's kfake inside the test process, on
//     loopback, with its data on disk. The line then says why. With BALANCEQ_REQUIRE_CONTAINERS=1 the run fails
//     instead.
//
// The broker starts with the first call of Shared, so a run that selects only unit tests does not wait for one. A test
// that stops or restarts its broker takes one of its own with New.
//
// # The oracle
//
// Records are written and read with franz-go, not with kafka-go, so that a mistake in our use of kafka-go (or in
// kafka-go) cannot hide itself. kafka-go lends only its Message type.
//
// # Non-obvious
//
//   - No container outlives the test process, however that ends (see reaper.go), so testcontainers' own reaper, an
//     image of its own, is switched off unless TESTCONTAINERS_RYUK_DISABLED is set.
//   - kfake ends the process on an API key it does not know, takes topic settings that it does not know, and has no
//     crash to offer: there a kill is a clean stop.
//   - After kill -9 KRaft refuses the broker's new registration for broker.session.timeout.ms, hence 3 s here and not 9
//     s.
package kafkatest
