package db_test

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
)

// both runs a benchmark on both databases, in 64 goroutines, and reports the CPU time of this process, which leaves out
// PostgreSQL's server.
func both(b *testing.B, op func(w *db.Writer, n int64) error) {
	for name, url := range map[string]func(testing.TB) string{
		"SQLite": dbtest.SQLiteURL, "PostgreSQL": dbtest.PostgreSQLURL,
	} {
		b.Run(name, func(b *testing.B) {
			w := dbtest.Open(b, url(b))
			var count atomic.Int64
			b.SetParallelism(64)
			before := cpuTime()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := op(w, count.Add(1)); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64((cpuTime()-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkUpdate writes a row and its event.
func BenchmarkUpdate(b *testing.B) {
	both(b, func(w *db.Writer, n int64) error {
		id := fmt.Sprintf("%08x-%d", uint32(n)*2654435761, n) // spread as random ids are
		return w.Update(b.Context(), putRecorded(id))
	})
}

// BenchmarkView reads a row.
func BenchmarkView(b *testing.B) {
	both(b, func(w *db.Writer, _ int64) error {
		_, err := w.Meta(b.Context(), "account")
		return err
	})
}
