package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/exec"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/internal/wait"
)

// cluster is the Kafka of a run.
type cluster struct {
	name    string // for the report
	direct  string // bootstrap addresses of the oracle
	workers string // of the workers: through the proxies, where there are any

	// Of containers of this run only.
	provider *testcontainers.DockerProvider
	engine   client.APIClient
	network  string // its id
	nodes    []*node
	keeper   testcontainers.Container
}

const (
	startTimeout  = 2 * time.Minute
	engineTimeout = 30 * time.Second
)

// startCluster runs that many KRaft nodes, each broker and controller, in containers of their own.
func startCluster(ctx context.Context, image string, nodes int) (c *cluster, err error) {
	c = &cluster{name: image}
	defer func() {
		if err != nil {
			c.close("")
			c = nil
			err = fmt.Errorf("starting containers of %s: %w", image, err)
		}
	}()
	host, err := c.findEngine(ctx)
	if err != nil {
		return c, err
	}
	name := "chaos-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	made, err := c.engine.NetworkCreate(ctx, name, client.NetworkCreateOptions{Driver: "bridge"})
	if err != nil {
		return c, fmt.Errorf("creating a network: %w", err)
	}
	c.network = made.ID
	var direct, workers []string
	for id := range nodes {
		n, err := newNode(ctx, id+1, host)
		if err != nil {
			return c, err
		}
		c.nodes = append(c.nodes, n)
		direct, workers = append(direct, n.direct), append(workers, n.workers)
	}
	c.direct, c.workers = strings.Join(direct, ","), strings.Join(workers, ",")
	for _, n := range c.nodes {
		if n.container, err = c.provider.CreateContainer(ctx, n.request(image, name, nodes)); err != nil {
			return c, err
		}
	}
	if err := c.keepDisks(ctx, image); err != nil {
		return c, err
	}
	failed := make([]error, nodes)
	var starting sync.WaitGroup
	for i, n := range c.nodes {
		starting.Go(func() { failed[i] = n.container.Start(ctx) })
	}
	starting.Wait()
	return c, errors.Join(failed...)
}

// findEngine opens the container engine and returns the host at which its ports are reached.
func (c *cluster) findEngine(ctx context.Context) (host string, err error) {
	found, err := kafkatest.FindEngine(ctx)
	if err != nil {
		return "", fmt.Errorf("%w; start one, or name a cluster with --brokers", err)
	}
	c.provider, c.engine = found.Provider, found.Client
	return found.Host, nil
}

// keepDisks starts a container that does nothing and has the nodes' disks too: they are in memory, so that they can be
// small and become full, and would be gone with the last container that has them. It must run before the first node
// stops.
func (c *cluster) keepDisks(ctx context.Context, image string) (err error) {
	c.keeper, err = c.provider.CreateContainer(ctx, testcontainers.ContainerRequest{
		Image: image, Entrypoint: []string{"sleep", "1000000"},
		HostConfigModifier: func(config *container.HostConfig) {
			for _, n := range c.nodes {
				config.VolumesFrom = append(config.VolumesFrom, n.container.GetContainerID())
			}
		},
	})
	if err != nil {
		return err
	}
	return c.keeper.Start(ctx)
}

// kill ends a node with SIGKILL, if it has not ended, and waits until it is gone: the engine answers earlier, and a
// start would then do nothing. It returns whether it still ran.
func (c *cluster) kill(ctx context.Context, n *node) (ran bool, err error) {
	id := n.container.GetContainerID()
	for {
		inspected, err := c.engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if err == nil && !inspected.Container.State.Running {
			return ran, nil
		}
		if err == nil && !ran {
			_, err = c.engine.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "KILL"})
			ran = err == nil
		}
		if !wait.Sleep(ctx, 20*time.Millisecond) {
			return ran, errors.Join(fmt.Errorf("killing broker %d: it still runs", n.id), err)
		}
	}
}

// start starts a node that has ended again, with its data and at its addresses. It does not wait until it serves.
func (c *cluster) start(ctx context.Context, n *node) error {
	if _, err := c.engine.ContainerStart(ctx, n.container.GetContainerID(), client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("starting broker %d again: %w", n.id, err)
	}
	return nil
}

// fill leaves no room on the disk of a node.
func (c *cluster) fill(ctx context.Context, n *node) error {
	code, said, err := c.onDisk(ctx, "dd", "if=/dev/zero", "of="+n.filler(), "bs=1M")
	if err == nil && (code == 0 || !strings.Contains(said, "No space left")) {
		err = fmt.Errorf("dd ended with %d: %s", code, said)
	}
	if err != nil {
		return fmt.Errorf("filling the disk of broker %d: %w", n.id, err)
	}
	return nil
}

// free undoes fill.
func (c *cluster) free(ctx context.Context, n *node) error {
	code, said, err := c.onDisk(ctx, "rm", "-f", n.filler())
	if err == nil && code != 0 {
		err = errors.New(said)
	}
	if err != nil {
		return fmt.Errorf("freeing the disk of broker %d: %w", n.id, err)
	}
	return nil
}

// onDisk runs a command in the container that has all disks.
func (c *cluster) onDisk(ctx context.Context, command ...string) (code int, said string, err error) {
	code, out, err := c.keeper.Exec(ctx, command, exec.Multiplexed())
	if err != nil {
		return code, "", err
	}
	text, err := io.ReadAll(out)
	return code, string(text), err
}

// close removes the containers, their disks and the network, by their ids. The nodes' logs go to a folder first, unless
// that is empty.
func (c *cluster) close(logs string) {
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	left := func(what string, err error) {
		if err != nil {
			_, _ = fmt.Fprintf(os.Stderr, "chaos: %s is left behind: %v\n", what, err)
		}
	}
	var containers []testcontainers.Container
	for _, n := range c.nodes {
		n.proxy.close()
		if n.container != nil {
			containers = append(containers, n.container)
			if logs != "" {
				left(fmt.Sprintf("the log of broker %d", n.id), saveLog(ctx, n.container, filepath.Join(logs, n.name()+".log")))
			}
		}
	}
	if c.keeper != nil {
		containers = append(containers, c.keeper)
	}
	for _, made := range slices.Backward(containers) { // the keeper first: it has the nodes' disks
		id := made.GetContainerID()
		_, err := c.engine.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		left(fmt.Sprintf("container %.12s", id), err)
	}
	if c.network != "" {
		_, err := c.engine.NetworkRemove(ctx, c.network, client.NetworkRemoveOptions{})
		left(fmt.Sprintf("network %.12s", c.network), err)
	}
	if c.engine != nil {
		_ = c.engine.Close() // idle connections
	}
}

// version is the image's tag, or the addresses of another's cluster.
func (c *cluster) version() string {
	if len(c.nodes) == 0 {
		return c.name
	}
	return c.name[strings.LastIndexByte(c.name, ':')+1:]
}
