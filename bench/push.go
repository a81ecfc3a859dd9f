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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/testkit"
)

// measurePush pushes distinct keys from 64 clients to 100 linked hosts, by turns with GET /healthz from as many, which
// is what any answer of this server takes. The requests are signed beforehand: the machine is shared, and it is the
// server that is measured. The hosts are the real agents, which verify each grant.
func measurePush(ctx context.Context, bin string) ([]row, error) {
	const hosts, clients, rounds, pushes, bar = 100, 64, 7, 3_000, 0.2
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
	requests, err := signedPushes(ctx, s, linked, (rounds+1)*pushes)
	if err != nil {
		return nil, err
	}
	health := repeat(fmt.Appendf(nil, "GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n", hostOf(s.endpoint)), 4*pushes)
	var rates, healthRates, ratios []float64
	var latencies []time.Duration
	for round := range slices.Chunk(requests, pushes) {
		baseline, err := load(ctx, s, clients, health)
		if err != nil {
			return nil, err
		}
		pushed, err := load(ctx, s, clients, round)
		if err != nil {
			return nil, err
		}
		rates, healthRates = append(rates, pushed.rate), append(healthRates, baseline.rate)
		ratios, latencies = append(ratios, pushed.rate/baseline.rate), append(latencies, pushed.latencies...)
	}
	ratios = ratios[1:] // the first round warms the server up
	r := row{
		What:     fmt.Sprintf("SendSSHPublicKey, %d clients, %d hosts", clients, hosts),
		Command:  fmt.Sprintf("%d times %d signed requests", rounds, pushes),
		Measured: fmt.Sprintf("%.0f/s, p99 %s", median(rates[1:]), milliseconds(quantile(latencies, 0.99))),
		Baseline: fmt.Sprintf("GET /healthz %.0f/s", median(healthRates[1:])),
		Bar:      fmt.Sprintf("≥ %.2f", bar), Met: median(ratios) >= bar,
	}
	r.setRatio(ratios)
	return []row{r}, nil
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
		digest := hex.EncodeToString(sum[:])
		err = signer.SignHTTP(ctx, who, request, digest, "ec2-instance-connect", testkit.Region, time.Now())
		if err != nil {
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
	latencies []time.Duration
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
func drive(ctx context.Context, address string, requests [][]byte, next *atomic.Int64) ([]time.Duration, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	var taken []time.Duration
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
