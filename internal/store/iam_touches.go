package store

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/iam"
)

// touchInterval is how long the use of an access key may stay in memory only.
const touchInterval = time.Minute

// touches gathers the uses of access keys, which are as many as requests and of which only the last matters.
type touches struct {
	mu      sync.Mutex
	pending map[string]iam.LastUse // by access key id

	ended   chan struct{}
	stopped sync.WaitGroup
	once    sync.Once
}

// TouchAccessKey implements iam.Store. It does not wait for the database.
func (s *Store) TouchAccessKey(_ context.Context, id string, use iam.LastUse) error {
	s.touches.mu.Lock()
	defer s.touches.mu.Unlock()
	if old, ok := s.touches.pending[id]; !ok || !use.Time.Before(old.Time) {
		s.touches.pending[id] = use
	}
	return nil
}

// start begins to write the touches from time to time.
func (t *touches) start(s *Store, log *slog.Logger) {
	t.pending = map[string]iam.LastUse{}
	t.ended = make(chan struct{})
	t.stopped.Go(func() {
		ticker := time.NewTicker(touchInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if err := t.flush(context.Background(), s); err != nil {
					log.Warn("the last use of access keys could not be written", "error", err)
				}
			case <-t.ended:
				return
			}
		}
	})
}

// stop writes what is pending, once.
func (t *touches) stop(s *Store) (err error) {
	t.once.Do(func() {
		close(t.ended)
		t.stopped.Wait()
		err = t.flush(context.Background(), s)
	})
	return err
}

// flush writes what is pending, so that a read that follows finds it.
func (t *touches) flush(ctx context.Context, s *Store) error {
	t.mu.Lock()
	pending := maps.Clone(t.pending)
	t.mu.Unlock()
	if len(pending) == 0 {
		return nil
	}
	err := s.insert(ctx, func(tx *session) error {
		for id, use := range pending {
			_, err := tx.exec(`UPDATE iam_access_key SET used = $2, used_service = $3, used_region = $4 WHERE id = $1 AND used <= $2`,
				id, micros(use.Time), cleanText(use.Service), cleanText(use.Region))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, use := range pending {
		if t.pending[id] == use {
			delete(t.pending, id)
		}
	}
	return nil
}
