package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

const (
	// LogSize is the size in bytes above which a log loses its older half.
	LogSize = 16 << 20
	// logInterval is how often the size is looked at.
	logInterval = 10 * time.Second
)

// BoundLogs keeps the logs of daemons from filling the disk, until ctx ends. A log may be missing. The daemons need not
// cooperate; a line written while a log is cut may be lost.
func BoundLogs(ctx context.Context, paths ...string) {
	ticker := time.NewTicker(logInterval)
	defer ticker.Stop()
	for {
		for _, path := range paths {
			// A missing log needs no bound, and other errors cannot be reported anywhere.
			_ = boundLog(path, LogSize)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// boundLog cuts a log larger than size to its newest size/2 bytes, starting at the beginning of a line. The file stays
// the same one, as its daemon has it open.
func boundLog(path string, size int64) (err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() <= size {
		return err
	}
	newest, err := io.ReadAll(io.NewSectionReader(file, info.Size()-size/2, size/2))
	if err != nil {
		return err
	}
	if end := bytes.IndexByte(newest, '\n'); end >= 0 {
		newest = newest[end+1:]
	}
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err = file.Write(newest)
	return err
}
