// Command bench measures Sallyport beside baselines of the same run and prints a table: what was measured and how, the
// ratio to the baseline with its spread, and the bar it is held to. It starts its own control plane, hosts and sshd on
// loopback and stops them. Its exit status is 1 if a bar is missed.
//
//	go run ./bench [-bin DIR] [-only NAME,…]
//
// Durations differ threefold between machines, and ratios hardly: the bars are ratios.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/sallyport/sallyport/internal/testkit/debian"
)

func main() {
	if debian.Inside() {
		err := debian.Enter()
		if err == nil {
			err = runInside(context.Background(), os.Args[1])
		}
		end(err)
	}
	bin := flag.String("bin", "bin", "`directory` of the programs, as make build makes it")
	only := flag.String("only", "", "comma-separated `names` of what to measure: login, keys, push, idle (default: all)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	end(run(ctx, *bin, *only))
}

func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// row is one line of the table.
type row struct {
	What, Command, Measured, Baseline, Ratio, Spread, Bar string
	Met                                                   bool
}

// setRatio shows the median of the ratios, and what the middle 80 % of them lie between.
func (r *row) setRatio(ratios []float64) {
	r.Ratio = fmt.Sprintf("%.2f", median(ratios))
	r.Spread = fmt.Sprintf("%.2f to %.2f", quantile(ratios, 0.1), quantile(ratios, 0.9))
}

func run(ctx context.Context, bin, only string) error {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	benchmarks := []struct {
		name string
		run  func(ctx context.Context, bin string) ([]row, error)
	}{{"login", insideMachine("login")}, {"keys", insideMachine("keys")}, {"push", measurePush}, {"idle", measureIdle}}
	var rows []row
	for _, b := range benchmarks {
		if only != "" && !slices.Contains(strings.Split(only, ","), b.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring %s …\n", b.name)
		measured, err := b.run(ctx, bin)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		rows = append(rows, measured...)
	}
	missed := printTable(rows)
	if missed > 0 {
		return fmt.Errorf("%d of %d bars missed", missed, len(rows))
	}
	return nil
}

// printTable prints the rows as a Markdown table and returns how many miss their bar.
func printTable(rows []row) (missed int) {
	fmt.Println("| what | how | measured | baseline | ratio | spread | bar | met |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		met := "yes"
		if !r.Met {
			met, missed = "NO", missed+1
		}
		fmt.Printf("| %s | `%s` | %s | %s | %s | %s | %s | %s |\n",
			r.What, r.Command, r.Measured, r.Baseline, r.Ratio, r.Spread, r.Bar, met)
	}
	return missed
}
