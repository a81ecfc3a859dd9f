package main

import (
	"os"
	"testing"

	"github.com/sallyport/sallyport/internal/testkit/isolated"
)

// becomeServe is the environment variable with the data directory for which a test's process becomes `sallyport serve`.
const becomeServe = "SALLYPORT_TEST_SERVE"

func TestMain(m *testing.M) {
	if data := os.Getenv(becomeServe); data != "" {
		term := terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr}
		os.Exit(run([]string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, term))
	}
	os.Exit(isolated.Run(m))
}
