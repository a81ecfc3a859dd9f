package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/time/rate"

	"github.com/sallyport/sallyport/internal/testkit"
)

// server is `sallyport serve` in a process of its own, as it runs in earnest.
type server struct {
	testkit.Clients
	endpoint string
	process  *exec.Cmd
	data     string
}

var listening = regexp.MustCompile(`listening on (http://\S+)`)

// startServer starts a control plane with an empty embedded database on a free port.
func startServer(ctx context.Context, bin string) (*server, error) {
	data, err := os.MkdirTemp("", "sallyport-bench-")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(bin, "sallyport"), "serve", "--data", data, "--listen", "127.0.0.1:0",
		"--call-rate", "1000000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (make build makes the programs)", err)
	}
	s := &server{process: cmd, data: data}
	line, err := bufio.NewReader(out).ReadString('\n')
	found := listening.FindStringSubmatch(line)
	if err != nil || found == nil {
		s.stop()
		return nil, fmt.Errorf("the server said %q: %w", line, errors.Join(err, errors.New("expected where it listens")))
	}
	s.endpoint = found[1]
	root, err := testkit.SavedCredentials(ctx, data)
	if err != nil {
		s.stop()
		return nil, err
	}
	s.Clients = testkit.NewClients(s.endpoint, root)
	return s, nil
}

func (s *server) stop() {
	s.process.Process.Signal(syscall.SIGTERM)
	s.process.Wait()
	os.RemoveAll(s.data)
}

// residentKB is the server's resident memory, in KB.
func (s *server) residentKB() (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return 0, errors.New("no VmRSS in /proc")
}

// hosts enrolls and links simulated hosts, a few at a time and no faster than a control plane takes them in.
func (s *server) hosts(ctx context.Context, n int) (hosts []*testkit.Host, disconnect func(), err error) {
	var mu sync.Mutex
	var work sync.WaitGroup
	pace := rate.NewLimiter(18, 80)
	for i := range n {
		if err := pace.Wait(ctx); err != nil {
			break
		}
		work.Go(func() {
			h, failure := testkit.Enroll(ctx, s.Config, fmt.Sprintf("host-%d", i), "debian")
			if failure == nil {
				failure = h.Connect(ctx)
			}
			mu.Lock()
			defer mu.Unlock()
			if failure != nil {
				err = failure
				return
			}
			hosts = append(hosts, h)
		})
	}
	work.Wait()
	disconnect = func() {
		for _, h := range hosts {
			h.Disconnect()
		}
	}
	if err != nil {
		disconnect()
		return nil, nil, err
	}
	return hosts, disconnect, ctx.Err()
}
