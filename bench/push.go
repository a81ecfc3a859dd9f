package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/testkit"
)

// measurePush pushes distinct keys from 64 clients to 100 linked hosts. The requests are signed beforehand: the
// machine is shared, and it is the server that is measured. The hosts are the real agents, which verify each grant.
func measurePush(ctx context.Context, bin string) ([]row, error) {
	const hosts, clients, warmUp, pushes = 100, 64, 4_000, 20_000
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // our own garbage is not what is measured
	s, err := startServer(ctx, bin)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	linked, disconnect, err := s.hosts(ctx, hosts)
	if err != nil {
		return nil, err
	}
	defer disconnect()
	requests, err := signedPushes(ctx, s, linked, warmUp+pushes)
	if err != nil {
		return nil, err
	}
	health := fmt.Appendf(nil, "GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n", hostOf(s.endpoint))
	baseline, err := load(ctx, s, clients, repeat(health, pushes))
	if err != nil {
		return nil, err
	}
	if _, err := load(ctx, s, clients, requests[:warmUp]); err != nil {
		return nil, err
	}
	result, err := load(ctx, s, clients, requests[warmUp:])
	if err != nil {
		return nil, err
	}
	p99 := result.latencies.quantile(0.99)
	return []row{{
		What: fmt.Sprintf("SendSSHPublicKey, %d clients, %d hosts", clients, hosts), Command: fmt.Sprintf("%d signed requests", pushes),
		Baseline: fmt.Sprintf("GET /healthz %.0f/s", baseline.rate), Figure: fmt.Sprintf("%.0f/s, p99 %s", result.rate, milliseconds(p99)),
		Spread: fmt.Sprintf("p50 %s, p90 %s", milliseconds(result.latencies.median()), milliseconds(result.latencies.quantile(0.9))),
		Bar:    "≥ 3000/s, p99 ≤ 60 ms", Met: result.rate >= 3000 && p99 <= 60*time.Millisecond,
	}}, nil
}

// signedPushes makes complete HTTP requests, each with a key of its own.
func signedPushes(ctx context.Context, s *server, hosts []*testkit.Host, n int) ([][]byte, error) {
	who, err := s.Config.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	signer, requests := v4.NewSigner(), make([][]byte, n)
	for i := range requests {
		public, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		key, err := ssh.NewPublicKey(public)
		if err != nil {
			return nil, err
		}
		body := fmt.Sprintf(`{"InstanceId":%q,"InstanceOSUser":"debian","SSHPublicKey":"%s %s"}`,
			hosts[i%len(hosts)].InstanceID, key.Type(), base64.StdEncoding.EncodeToString(key.Marshal()))
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Content-Type", "application/x-amz-json-1.1")
		request.Header.Set("X-Amz-Target", "AWSEC2InstanceConnectService.SendSSHPublicKey")
		sum := sha256.Sum256([]byte(body))
		if err := signer.SignHTTP(ctx, who, request, hex.EncodeToString(sum[:]), "ec2-instance-connect", testkit.Region, time.Now()); err != nil {
			return nil, err
		}
		var wire bytes.Buffer
		if err := request.Write(&wire); err != nil {
			return nil, err
		}
		requests[i] = wire.Bytes()
	}
	return requests, nil
}

// outcome is what a load came to.
type outcome struct {
	rate      float64 // requests a second
	latencies sample
}

// load sends the requests over that many connections, each waiting for its answer, which must be 200.
func load(ctx context.Context, s *server, connections int, requests [][]byte) (outcome, error) {
	var next atomic.Int64
	var mu sync.Mutex
	var result outcome
	var failure error
	var work sync.WaitGroup
	began := time.Now()
	for range connections {
		work.Go(func() {
			taken, err := drive(ctx, hostOf(s.endpoint), requests, &next)
			mu.Lock()
			defer mu.Unlock()
			result.latencies = append(result.latencies, taken...)
			if err != nil {
				failure = err
				next.Store(int64(len(requests)))
			}
		})
	}
	work.Wait()
	result.rate = float64(len(result.latencies)) / time.Since(began).Seconds()
	return result, failure
}

// drive is one client.
func drive(ctx context.Context, address string, requests [][]byte, next *atomic.Int64) (sample, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	var taken sample
	for {
		i := int(next.Add(1) - 1)
		if i >= len(requests) || ctx.Err() != nil {
			return taken, ctx.Err()
		}
		began := time.Now()
		if _, err := conn.Write(requests[i]); err != nil {
			return taken, err
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return taken, err
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return taken, err
		}
		if response.StatusCode != http.StatusOK {
			return taken, fmt.Errorf("%s: %s", response.Status, body)
		}
		taken = append(taken, time.Since(began))
	}
}

func repeat(request []byte, n int) [][]byte {
	requests := make([][]byte, n)
	for i := range requests {
		requests[i] = request
	}
	return requests
}

func hostOf(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return endpoint
	}
	return u.Host
}
