package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

const (
	startTimeout  = 2 * time.Minute
	removeTimeout = 30 * time.Second
	listenPort    = "9092/tcp" // inside the container
	segmentBytes  = "1048576"  // the embedded broker copies a segment each time that it has doubled
)

// cluster names the brokers to measure against: given ones, one in a container, or an embedded one. end removes what
// was started.
func (o options) cluster(ctx context.Context) (addrs string, end func(), err error) {
	switch {
	case o.brokers != "":
		return o.brokers, func() {}, nil
	case o.kafka != "":
		return startKafka(ctx, o.kafka)
	}
	broker, err := kfake.NewCluster(kfake.NumBrokers(1),
		kfake.BrokerConfigs(map[string]string{"log.segment.bytes": segmentBytes}))
	if err != nil {
		return "", nil, fmt.Errorf("starting the embedded broker: %w", err)
	}
	return broker.ListenAddrs()[0], broker.Close, nil
}

// startKafka runs one KRaft node in a container.
func startKafka(ctx context.Context, image string) (addr string, end func(), err error) {
	engine, err := kafkatest.FindEngine(ctx)
	if err != nil {
		return "", nil, fmt.Errorf("%w; start one, or name a cluster with --brokers", err)
	}
	provider, host := engine.Provider, engine.Host
	port, err := kafkatest.FreePort()
	if err != nil {
		return "", nil, err
	}
	addr = net.JoinHostPort(host, strconv.Itoa(port))
	bound := network.PortBinding{HostPort: strconv.Itoa(port)}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		bound.HostIP = ip // this machine's only; an engine elsewhere binds all its addresses
	}
	created, err := provider.CreateContainer(ctx, testcontainers.ContainerRequest{
		Image: image, Env: kafkaEnv(addr), ExposedPorts: []string{listenPort},
		WaitingFor: wait.ForLog("Kafka Server started").WithStartupTimeout(startTimeout),
		HostConfigModifier: func(config *container.HostConfig) {
			config.PortBindings = network.PortMap{network.MustParsePort(listenPort): {bound}}
		},
	})
	end = func() {
		if created != nil {
			remove(provider.Client(), created.GetContainerID())
		}
		_ = provider.Close() // idle connections
	}
	if err == nil {
		err = created.Start(ctx)
	}
	if err != nil {
		end()
		return "", nil, fmt.Errorf("starting a container of %s: %w", image, err)
	}
	return addr, end, nil
}

func remove(engine client.APIClient, id string) {
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	if _, err := engine.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true,
		RemoveVolumes: true}); err != nil {
		fmt.Fprintf(os.Stderr, "bench: container %.12s is left behind: %v\n", id, err)
	}
}

// kafkaEnv configures one node that leaves Kafka's defaults alone where a figure could depend on them: the garbage
// collector, the compilers, the sessions of groups and transactions. Few partitions of the internal topics start fast.
func kafkaEnv(addr string) map[string]string {
	const listeners = "CLIENTS://:9092,BROKER://localhost:19092,CONTROLLER://localhost:9093"
	return map[string]string{
		"KAFKA_NODE_ID":                                  "1",
		"KAFKA_PROCESS_ROLES":                            "broker,controller",
		"KAFKA_CONTROLLER_QUORUM_VOTERS":                 "1@localhost:9093",
		"KAFKA_CONTROLLER_LISTENER_NAMES":                "CONTROLLER",
		"KAFKA_INTER_BROKER_LISTENER_NAME":               "BROKER",
		"KAFKA_LISTENERS":                                listeners,
		"KAFKA_ADVERTISED_LISTENERS":                     "CLIENTS://" + addr + ",BROKER://localhost:19092",
		"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP":           "CLIENTS:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"KAFKA_LOG_DIRS":                                 "/tmp/kafka-logs",
		"KAFKA_AUTO_CREATE_TOPICS_ENABLE":                "false",
		"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS":         "0",
		"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":         "1",
		"KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS":             "4",
		"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
		"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR":            "1",
		"KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS":     "4",
		"KAFKA_HEAP_OPTS":                                "-Xms1G -Xmx1G", // the default of the start script
	}
}
