package host

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/sallyport/sallyport/internal/durable"
	"github.com/sallyport/sallyport/internal/hostproto"
)

// The bounds of a spool.
const (
	maxUnsent    = 10_000  // releases
	compactAbove = 1 << 20 // bytes of file; below them it may be what it likes
)

// ErrSpoolFull says that no more releases can be recorded before the control plane has taken some.
var ErrSpoolFull = errors.New("host: too many releases wait for the control plane")

// Spool keeps releases in a file until they are in the trail, one JSON object a line. What was added survives
// the death of the agent; a crash of the whole machine may lose the last seconds. It is safe for concurrent use,
// by one process.
type Spool struct {
	path  string
	ready chan struct{}

	mu     sync.Mutex
	file   *os.File
	size   int64 // of the file, up to where it is whole lines
	unsent []spooled
	needed int64 // bytes of the file that are unsent
}

// spooled is a release with the length of its line.
type spooled struct {
	hostproto.Release
	size int64
}

// OpenSpool opens the spool at the path, which it makes, mode 0600, if it must. A last line that was cut off by
// a crash is dropped.
func OpenSpool(path string) (*Spool, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	s := &Spool{path: path, ready: make(chan struct{}, 1)}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		var release hostproto.Release
		if json.Unmarshal(lines.Bytes(), &release) == nil {
			s.unsent = append(s.unsent, spooled{Release: release})
		}
	}
	if err := s.rewrite(); err != nil {
		return nil, err
	}
	s.signal()
	return s, nil
}

// Add records a release. After an error it was not recorded, and the key must not be handed out.
func (s *Spool) Add(release hostproto.Release) error {
	line, err := json.Marshal(release)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.unsent) >= maxUnsent {
		return ErrSpoolFull
	}
	n, err := s.file.WriteAt(append(line, '\n'), s.size)
	if err != nil {
		return errors.Join(err, s.file.Truncate(s.size)) // half a line; if it stays, the next goes over it
	}
	s.unsent = append(s.unsent, spooled{release, int64(n)})
	s.size, s.needed = s.size+int64(n), s.needed+int64(n)
	s.signal()
	return nil
}

// Unsent implements Outbox.
func (s *Spool) Unsent(limit int) []hostproto.Release {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := make([]hostproto.Release, min(limit, len(s.unsent)))
	for i := range oldest {
		oldest[i] = s.unsent[i].Release
	}
	return oldest
}

// Sent implements Outbox. A release that is forgotten here may still be in the file for a while; should the
// agent die, it is told twice, and is one event all the same.
func (s *Spool) Sent(eventID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsent = slices.DeleteFunc(s.unsent, func(r spooled) bool {
		sent := r.EventID == eventID
		if sent {
			s.needed -= r.size
		}
		return sent
	})
	if len(s.unsent) > 0 {
		s.signal()
	}
	if len(s.unsent) == 0 || s.size > compactAbove && s.size >= 2*s.needed {
		s.rewrite() // if it fails the file is longer than it need be
	}
}

// Ready implements Outbox.
func (s *Spool) Ready() <-chan struct{} { return s.ready }

// Close closes the file.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file.Close()
}

func (s *Spool) signal() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// rewrite makes the file hold exactly what is unsent. It is called with the mutex held.
func (s *Spool) rewrite() error {
	var text []byte
	for i, release := range s.unsent {
		line, err := json.Marshal(release.Release)
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
		s.unsent[i].size = int64(len(line)) + 1
	}
	s.needed = int64(len(text))
	if s.file != nil && len(text) == 0 {
		if err := s.file.Truncate(0); err != nil {
			return fmt.Errorf("empty the spool: %w", err)
		}
		s.size = 0
		return nil
	}
	err := durable.WriteFile(s.path, text, 0o600)
	if err != nil && (s.file == nil || s.isInPlace()) {
		return err
	}
	// If there was an error the new file is in place all the same, and what is added must not go to the old one.
	file, openErr := os.OpenFile(s.path, os.O_WRONLY, 0)
	if openErr != nil {
		return errors.Join(err, openErr)
	}
	if s.file != nil {
		s.file.Close()
	}
	s.file, s.size = file, s.needed
	return err
}

// isInPlace tells whether the file that is written to is the one at the path.
func (s *Spool) isInPlace() bool {
	ours, err := s.file.Stat()
	theirs, pathErr := os.Lstat(s.path)
	return err == nil && pathErr == nil && os.SameFile(ours, theirs)
}
