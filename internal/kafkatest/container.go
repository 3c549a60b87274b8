package kafkatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/wait"
)

const (
	engineTimeout = 5 * time.Second // to answer at all; a machine without an engine must not wait
	pullTimeout   = 5 * time.Minute
	stopTimeout   = 30 * time.Second // of a clean stop
)

// Engine is a container engine that answers. Its user closes the client's idle connections in the end.
type Engine struct {
	Provider *testcontainers.DockerProvider
	Client   client.APIClient // the provider's, for what testcontainers cannot do
	Host     string           // where its mapped ports are reached
}

// closeIdle closes the client's idle connections, which would count as leaked goroutines. The client stays usable.
func closeIdle(cl io.Closer) { _ = cl.Close() }

// FindEngine looks where testcontainers looks: DOCKER_HOST, the default sockets, ~/.testcontainers.properties. It
// differs in one thing: a DOCKER_HOST that does not answer is the end of the search, as it is for docker's own
// commands.
func FindEngine(ctx context.Context) (*Engine, error) {
	if _, set := os.LookupEnv("TESTCONTAINERS_RYUK_DISABLED"); !set {
		if err := os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"); err != nil { // read once, at first use
			return nil, fmt.Errorf("switching off testcontainers' reaper: %w", err)
		}
	}
	silent := log.NewNoopLogger()
	log.SetDefault(silent)

	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	if err := engineAnswers(ctx); err != nil {
		return nil, fmt.Errorf("no container engine answers: %w", err)
	}
	provider, err := testcontainers.NewDockerProvider(testcontainers.WithLogger(silent))
	if err != nil {
		return nil, fmt.Errorf("opening container engine: %w", err)
	}
	defer closeIdle(provider)
	host, err := provider.DaemonHost(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding the container engine's host (TESTCONTAINERS_HOST_OVERRIDE sets it): %w", err)
	}
	if host == "localhost" {
		host = loopback // the port is bound there only, and "localhost" may be ::1 first
	}
	return &Engine{Provider: provider, Client: provider.Client(), Host: host}, nil
}

func engineAnswers(ctx context.Context) error {
	if os.Getenv(client.EnvOverrideHost) != "" {
		named, err := client.New(client.FromEnv)
		if err != nil {
			return err
		}
		if err := ping(ctx, named); err != nil {
			return err
		}
	}
	found, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return err
	}
	return ping(ctx, found)
}

func ping(ctx context.Context, cl client.APIClient) error {
	defer closeIdle(cl)
	_, err := cl.Ping(ctx, client.PingOptions{})
	return err
}

// obtain makes sure that the engine has the image. A failed pull is not retried: the caller has a fallback.
func (e *Engine) obtain(ctx context.Context, image string) error {
	defer closeIdle(e.Client)
	if _, err := e.Client.ImageInspect(ctx, image); err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	pull, err := e.Client.ImagePull(ctx, image, client.ImagePullOptions{})
	if err == nil {
		err = pull.Wait(ctx)
	}
	if err != nil {
		return fmt.Errorf("image %s cannot be had: %w", image, err)
	}
	return nil
}

// containerServer is a broker in a container with a fixed host port, which a restart keeps.
type containerServer struct {
	engine *Engine
	image  string
	port   int
	guard  *Guarded // nil: a broker without
	id     string   // empty until created
}

var _ server = (*containerServer)(nil)

const listenPort = "9092/tcp"

// env configures one KRaft node. One KAFKA_ variable replaces all of the image's defaults, so it is the whole of it.
// Transaction markers travel over the inter-broker listener, which therefore has an address that is valid inside.
func (s *containerServer) env() map[string]string {
	advertised := fmt.Sprintf("PLAINTEXT://%s:%d,BROKER://localhost:19092", s.engine.Host, s.port)
	return map[string]string{
		"KAFKA_NODE_ID":                          "1",
		"KAFKA_PROCESS_ROLES":                    "broker,controller",
		"KAFKA_CONTROLLER_QUORUM_VOTERS":         "1@localhost:9093",
		"KAFKA_CONTROLLER_LISTENER_NAMES":        "CONTROLLER",
		"KAFKA_INTER_BROKER_LISTENER_NAME":       "BROKER",
		"KAFKA_LISTENERS":                        "PLAINTEXT://:9092,BROKER://localhost:19092,CONTROLLER://localhost:9093",
		"KAFKA_ADVERTISED_LISTENERS":             advertised,
		"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP":   "PLAINTEXT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"KAFKA_LOG_DIRS":                         "/tmp/kafka-logs",
		"KAFKA_AUTO_CREATE_TOPICS_ENABLE":        "false",
		"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",

		// One node: nothing to replicate to, and few partitions of the internal topics start fast.
		"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":         "1",
		"KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS":             "4",
		"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
		"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR":            "1",
		"KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS":     "4",

		// The official image starts with a heap of 1 GB. A test is over before the second compiler pays.
		"KAFKA_HEAP_OPTS":            "-Xms128M -Xmx512M",
		"KAFKA_JVM_PERFORMANCE_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",

		// A killed broker may come back after this session.
		"KAFKA_BROKER_SESSION_TIMEOUT_MS":    "3000",
		"KAFKA_BROKER_HEARTBEAT_INTERVAL_MS": "500",
	}
}

// start creates and starts the container, or starts the stopped one again. What it made before it failed is for remove.
func (s *containerServer) start(ctx context.Context) error {
	defer closeIdle(s.engine.Client)
	if s.id != "" {
		_, err := s.engine.Client.ContainerStart(ctx, s.id, client.ContainerStartOptions{})
		return err
	}
	env, ports := s.env(), map[string]int{listenPort: s.port}
	var files []testcontainers.ContainerFile
	if s.guard != nil {
		s.guard.env(env, s.engine.Host)
		for l, port := range s.guard.ports {
			ports[fmt.Sprintf("%d/tcp", listeners[l].port)] = port
		}
		contents, err := s.guard.files()
		if err != nil {
			return err
		}
		for path, text := range contents {
			files = append(files, testcontainers.ContainerFile{Reader: strings.NewReader(text), ContainerFilePath: path,
				FileMode: 0o444})
		}
	}
	created, err := s.engine.Provider.CreateContainer(ctx, testcontainers.ContainerRequest{
		Image:        s.image,
		Env:          env,
		Files:        files,
		ExposedPorts: slices.Collect(maps.Keys(ports)),
		WaitingFor:   wait.ForLog("Kafka Server started").WithStartupTimeout(startTimeout),
		HostConfigModifier: func(config *container.HostConfig) {
			config.PortBindings = network.PortMap{}
			for inside, outside := range ports {
				config.PortBindings[network.MustParsePort(inside)] = []network.PortBinding{s.binding(outside)}
			}
		},
	})
	if created != nil {
		s.id = created.GetContainerID()
		if reaperErr := watch.add(s.id); err == nil {
			err = reaperErr
		}
	}
	if err == nil {
		err = created.Start(ctx)
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("starting container of %s: %w%s", s.image, err, s.lastLog())
}

// binding binds the host port on loopback where the engine is on this machine, and on all addresses where it is not.
func (s *containerServer) binding(port int) network.PortBinding {
	binding := network.PortBinding{HostPort: strconv.Itoa(port)}
	if addr, err := netip.ParseAddr(s.engine.Host); err == nil && addr.IsLoopback() {
		binding.HostIP = addr
	}
	return binding
}

func (s *containerServer) stop(ctx context.Context, kill bool) error {
	defer closeIdle(s.engine.Client)
	if !kill {
		seconds := int(stopTimeout.Seconds())
		_, err := s.engine.Client.ContainerStop(ctx, s.id, client.ContainerStopOptions{Timeout: &seconds})
		return err
	}
	if _, err := s.engine.Client.ContainerKill(ctx, s.id, client.ContainerKillOptions{Signal: "KILL"}); err != nil {
		return err
	}
	// The engine answers before the process is gone, and starting it then would do nothing.
	return poll(ctx, func(ctx context.Context) error {
		inspected, err := s.engine.Client.ContainerInspect(ctx, s.id, client.ContainerInspectOptions{})
		if err == nil && inspected.Container.State.Running {
			err = errors.New("container still runs")
		}
		return err
	})
}

func (s *containerServer) remove(ctx context.Context) error {
	if s.id == "" {
		return nil
	}
	if err := s.engine.removeContainer(ctx, s.id); err != nil {
		return err
	}
	watch.drop(s.id)
	s.id = ""
	return nil
}

func (e *Engine) removeContainer(ctx context.Context, id string) error {
	defer closeIdle(e.Client)
	_, err := e.Client.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil {
		return fmt.Errorf("removing container %.12s: %w", id, err)
	}
	return nil
}

// lastLog returns the end of the container's log, to be appended to an error: why a JVM gave up is only there.
func (s *containerServer) lastLog() string {
	if s.id == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	options := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "10"}
	stream, err := s.engine.Client.ContainerLogs(ctx, s.id, options)
	if err != nil {
		return ""
	}
	defer func() { _ = stream.Close() }()
	var lines bytes.Buffer
	if _, err := stdcopy.StdCopy(&lines, &lines, stream); err != nil || lines.Len() == 0 {
		return ""
	}
	return "\nthe last lines of its log:\n" + lines.String()
}
