package client_test

import (
	"testing"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }
