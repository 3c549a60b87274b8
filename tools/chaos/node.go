package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// node is a broker and controller in a container.
type node struct {
	id        int // from 1
	host      string
	ports     [2]int // of the host, for the oracle and for the proxy
	direct    string // address for the oracle
	workers   string // for the workers: the proxy's
	proxy     *proxy
	container testcontainers.Container
}

const (
	directPort, workersPort = "9092/tcp", "9094/tcp" // inside the container

	// commitLogParts is the number of partitions of the log of commits.
	commitLogParts = 4

	// diskSize holds a run of a million requests; full, it is taken from the machine's memory.
	diskSize = "1g"
)

// newNode opens the proxy of a node. It advertises two addresses: one for the oracle, and one at which the proxy
// listens.
func newNode(ctx context.Context, id int, host string) (*node, error) {
	n := &node{id: id, host: host}
	var ports [3]int
	for i := range ports {
		var err error
		if ports[i], err = kafkatest.FreePort(); err != nil {
			return nil, err
		}
	}
	n.ports = [2]int{ports[0], ports[1]}
	n.direct = net.JoinHostPort(host, strconv.Itoa(ports[0]))
	n.workers = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[2]))
	var err error
	if n.proxy, err = newProxy(ctx, n.workers, net.JoinHostPort(host, strconv.Itoa(ports[1]))); err != nil {
		return nil, fmt.Errorf("opening the proxy: %w", err)
	}
	return n, nil
}

// name is the node's in its network.
func (n *node) name() string { return "kafka-" + strconv.Itoa(n.id) }

// disk is where its disk is, in the container of the node and in the one that keeps all disks.
func (n *node) disk() string { return "/" + n.name() }

func (n *node) filler() string { return n.disk() + "/filler" }

// request describes the container of one of that many nodes.
func (n *node) request(image, networkName string, nodes int) testcontainers.ContainerRequest {
	binding := func(port int) []network.PortBinding {
		bound := network.PortBinding{HostPort: strconv.Itoa(port)}
		if addr, err := netip.ParseAddr(n.host); err == nil && addr.IsLoopback() {
			bound.HostIP = addr // this machine's only; an engine elsewhere binds all its addresses
		}
		return []network.PortBinding{bound}
	}
	return testcontainers.ContainerRequest{
		Image: image, Env: n.env(nodes), ExposedPorts: []string{directPort, workersPort},
		Networks: []string{networkName}, NetworkAliases: map[string][]string{networkName: {n.name()}},
		WaitingFor: wait.ForLog("Kafka Server started").WithStartupTimeout(startTimeout),
		HostConfigModifier: func(config *container.HostConfig) {
			config.PortBindings = network.PortMap{
				network.MustParsePort(directPort): binding(n.ports[0]), network.MustParsePort(workersPort): binding(n.ports[1]),
			}
			config.Mounts = append(config.Mounts, mount.Mount{Type: mount.TypeVolume, Target: n.disk(),
				VolumeOptions: &mount.VolumeOptions{NoCopy: true,
					DriverConfig: &mount.Driver{Name: "local", Options: map[string]string{
						"type": "tmpfs", "device": "tmpfs", "o": "size=" + diskSize + ",mode=1777", // the image's user writes to it
					}}}})
		},
	}
}

// env configures one of that many nodes. With three, one may fail: that many replicas, and an answer when two have it.
func (n *node) env(nodes int) map[string]string {
	var voters []string
	for id := range nodes {
		peer := node{id: id + 1}
		voters = append(voters, fmt.Sprintf("%d@%s:9093", peer.id, peer.name()))
	}
	replicas, inSync := strconv.Itoa(nodes), strconv.Itoa(max(1, nodes-1))
	return map[string]string{
		"KAFKA_NODE_ID":                    strconv.Itoa(n.id),
		"KAFKA_PROCESS_ROLES":              "broker,controller",
		"KAFKA_CONTROLLER_QUORUM_VOTERS":   strings.Join(voters, ","),
		"KAFKA_CONTROLLER_LISTENER_NAMES":  "CONTROLLER",
		"KAFKA_INTER_BROKER_LISTENER_NAME": "BROKER",
		"KAFKA_LISTENERS":                  "DIRECT://:9092,WORKERS://:9094,BROKER://:19092,CONTROLLER://:9093",
		"KAFKA_ADVERTISED_LISTENERS": "DIRECT://" + n.direct + ",WORKERS://" + n.workers + ",BROKER://" + n.name() +
			":19092",
		"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "DIRECT:PLAINTEXT,WORKERS:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"KAFKA_LOG_DIRS":                       n.disk() + "/logs",
		"KAFKA_AUTO_CREATE_TOPICS_ENABLE":      "false",

		"KAFKA_DEFAULT_REPLICATION_FACTOR":               replicas,
		"KAFKA_MIN_INSYNC_REPLICAS":                      inSync,
		"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":         replicas,
		"KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS":             strconv.Itoa(commitLogParts),
		"KAFKA_OFFSETS_TOPIC_SEGMENT_BYTES":              "1000000000", // compaction would take commits from the oracle
		"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": replicas,
		"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR":            inSync,
		"KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS":     "4",

		// A killed broker may come back after this session.
		"KAFKA_BROKER_SESSION_TIMEOUT_MS":    "3000",
		"KAFKA_BROKER_HEARTBEAT_INTERVAL_MS": "500",
		// In the consumer protocol a member's session is the brokers' to choose. In the classic one it is the member's.
		"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS":         "0",
		"KAFKA_GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS":    millis(sessionTimeout),
		"KAFKA_GROUP_CONSUMER_SESSION_TIMEOUT_MS":        millis(sessionTimeout),
		"KAFKA_GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS": millis(heartbeat),
		"KAFKA_GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS":     millis(heartbeat),
		"KAFKA_HEAP_OPTS":            "-Xms128M -Xmx512M",
		"KAFKA_JVM_PERFORMANCE_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
		"KAFKA_OPTS":                 "-Dsun.net.inetaddr.ttl=1", // a node that is started again has another address
	}
}

// saveLog writes what a container has printed.
func saveLog(ctx context.Context, from testcontainers.Container, path string) error {
	out, err := from.Logs(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, out)
	return errors.Join(err, file.Close())
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
