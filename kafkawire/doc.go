// Package kafkawire adds to kafka-go what its Reader and Writer cannot do: idempotent and transactional batches,
// fetches, and group requests. Its fetch has a decoder that understands transactions, groups are of either protocol,
// and offset fetches are stable. It says what each error code asks for, and is the one place for connection settings.
//
// It rides on kafka-go's own Transport (connections, TLS, SASL, metadata) through the protocol.RawExchanger hook, with
// kmsg as the codec of the messages. Versions are fixed per request and work on Kafka 3.x and 4.x.
//
// It is a part of the program, and no API: what is exported changes without notice.
package kafkawire
