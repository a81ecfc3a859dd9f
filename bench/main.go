// Command bench measures Sallyport and prints a table: what, the baseline measured in the same run, the figure, its
// spread and the bar it is held to. It starts its own control plane, hosts and sshd on loopback and stops them.
//
//	go run ./bench [-bin DIR] [-only NAME,…]
//
// Figures vary with the machine; the differences and ratios to the baselines are what to compare.
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
)

func main() {
	bin := flag.String("bin", "bin", "`directory` of the programs, as make build makes it")
	only := flag.String("only", "", "comma-separated `names` of what to measure: login, keys, push, idle (default: all)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *bin, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// row is one line of the table.
type row struct {
	what, command, baseline, figure, spread, bar string
	met                                          bool
}

func run(ctx context.Context, bin, only string) error {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	benchmarks := []struct {
		name string
		run  func(ctx context.Context, bin string) ([]row, error)
	}{{"login", measureLogin}, {"keys", measureKeys}, {"push", measurePush}, {"idle", measureIdle}}
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
	fmt.Println("| what | how | baseline | figure | spread | bar | met |")
	fmt.Println("|---|---|---|---|---|---|---|")
	for _, r := range rows {
		met := "yes"
		if !r.met {
			met, missed = "NO", missed+1
		}
		fmt.Printf("| %s | `%s` | %s | %s | %s | %s | %s |\n", r.what, r.command, r.baseline, r.figure, r.spread, r.bar, met)
	}
	return missed
}
