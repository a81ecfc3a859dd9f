package store

import (
	"context"
	"fmt"
	"sync"
)

// sequenceBlock is how many numbers are taken from the database at once.
const sequenceBlock = 10_000

// sequence hands out the numbers that order events of the same second. The database hands out blocks, so that no
// process gives a number that an earlier one gave; a block that was not used up is lost with the process.
type sequence struct {
	mu         sync.Mutex
	next, last int64
}

// take returns the next number.
func (q *sequence) take(ctx context.Context, b backend) (int64, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next >= q.last {
		var last int64
		err := b.write(ctx, func(tx *session) error {
			return tx.row(`UPDATE counter SET value = value + $2 WHERE name = $1 RETURNING value`, "trail", sequenceBlock).Scan(&last)
		})
		if err != nil {
			return 0, fmt.Errorf("take sequence numbers: %w", err)
		}
		q.next, q.last = last-sequenceBlock, last
	}
	q.next++
	return q.next, nil
}
