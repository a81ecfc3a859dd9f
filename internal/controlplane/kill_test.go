package controlplane_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/controlplane"
	"github.com/sallyport/sallyport/internal/sshkey"
	"github.com/sallyport/sallyport/internal/testkit"
	"github.com/sallyport/sallyport/internal/testkit/isolated"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// serveData and serveListen, in the environment, make this test program a control plane that can be killed.
const (
	serveData   = "SALLYPORT_TEST_DATA"
	serveListen = "SALLYPORT_TEST_LISTEN"
)

func TestMain(m *testing.M) {
	if data := os.Getenv(serveData); data != "" {
		config := controlplane.Config{Data: data, Listen: os.Getenv(serveListen), Account: testkit.Account}
		if _, err := controlplane.Start(context.Background(), config, slog.New(slog.DiscardHandler), clock.System(),
			rand.Reader); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		select {}
	}
	os.Exit(isolated.Run(m))
}

// TestKill kills the control plane again and again while keys are pushed. Whatever was acknowledged must be in
// the trail and on the host, which comes back by itself.
func TestKill(t *testing.T) {
	const rounds, clients = 5, 8
	data, listen := filepath.Join(t.TempDir(), "data"), freeAddress(t)
	server := serveProcess(t, data, listen)
	root, err := testkit.SavedCredentials(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	api := testkit.NewClients("http://"+listen, root)
	machine, err := testkit.Enroll(t.Context(), api.Config, "web", "debian")
	if err != nil {
		t.Fatal(err)
	}
	if err := machine.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer machine.Disconnect()

	acknowledged := &requests{}
	for round := range rounds {
		pushing, stop := context.WithCancel(t.Context())
		var work sync.WaitGroup
		for range clients {
			work.Go(func() { pushUntil(pushing, api, machine.InstanceID, acknowledged) })
		}
		before := acknowledged.count()
		wait.For(t, "pushes", func() bool { return acknowledged.count() >= before+clients }) // on a busy machine, too
		time.Sleep(time.Duration(37*round) * time.Millisecond)                               // at any point of a push
		server.kill(t)
		stop()
		work.Wait()

		server = serveProcess(t, data, listen)
		ctx, cancel := context.WithTimeout(t.Context(), wait.Patience)
		if err := machine.AwaitLink(ctx); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		// The Welcome carries some of the grants, the rest follow it.
		for missing := acknowledged.without(live(machine)); len(missing) > 0; missing = acknowledged.without(live(machine)) {
			if ctx.Err() != nil {
				t.Fatalf("round %d: of %d acknowledged grants the host misses %d, %s among them",
					round, acknowledged.count(), len(missing), missing[0])
			}
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
	}
	if missing := acknowledged.without(recorded(t, api)); len(missing) > 0 {
		t.Errorf("of %d acknowledged pushes the trail misses %d, %s among them",
			acknowledged.count(), len(missing), missing[0])
	}
	server.kill(t)
}

// live returns the request ids of the host's grants.
func live(machine *testkit.Host) map[string]bool {
	held := map[string]bool{}
	grants, _ := machine.Grants.Find("debian", "")
	for _, g := range grants {
		held[g.RequestID] = true
	}
	return held
}

// recorded returns the request ids of the successful pushes in the trail.
func recorded(t *testing.T, api testkit.Clients) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	pages := cloudtrail.NewLookupEventsPaginator(api.Trail, &cloudtrail.LookupEventsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			event := parseEvent(t, *e.CloudTrailEvent)
			if event.Name == "SendSSHPublicKey" && event.ErrorCode == "" {
				ids[event.RequestID] = true
			}
		}
	}
	return ids
}

// requests are the ids of requests that succeeded.
type requests struct {
	mu  sync.Mutex
	ids []string
}

func (r *requests) add(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids = append(r.ids, id)
}

func (r *requests) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ids)
}

func (r *requests) without(known map[string]bool) (missing []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range r.ids {
		if !known[id] {
			missing = append(missing, id)
		}
	}
	return missing
}

func pushUntil(ctx context.Context, api testkit.Clients, instance string, acknowledged *requests) {
	for ctx.Err() == nil {
		pair, err := sshkey.Generate(rand.Reader)
		if err != nil {
			panic(err)
		}
		out, err := api.EIC.SendSSHPublicKey(ctx, &ec2instanceconnect.SendSSHPublicKeyInput{
			InstanceId: &instance, InstanceOSUser: aws.String("debian"), SSHPublicKey: &pair.Public.Line,
		})
		if err == nil && out.Success {
			acknowledged.add(*out.RequestId)
		}
	}
}

// process is a control plane in a process of its own.
type process struct{ cmd *exec.Cmd }

func serveProcess(t *testing.T, data, listen string) process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), serveData+"="+data, serveListen+"="+listen)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := process{cmd}
	t.Cleanup(func() { cmd.Process.Kill() })
	for deadline := time.Now().Add(wait.Patience); ; time.Sleep(20 * time.Millisecond) {
		if response, err := http.Get("http://" + listen + "/healthz"); err == nil {
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return p
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("the control plane does not answer")
		}
	}
}

func (p process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.cmd.Wait()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
