// Package connect says how Kafka and the CMS are reached with a configuration: settings of the connections, keys and
// certificates, and where a call goes first.
package connect
