package kafkawire

import (
	"reflect"
	"slices"
	"testing"
)

func TestByLeader(t *testing.T) {
	t.Parallel()
	groups, without := ByLeader(map[int32]int32{0: 7, 1: 8, 2: 7, 3: 9},
		map[int32]string{0: "a", 1: "b", 2: "c", 4: "d", 5: "e"})
	want := map[int32]map[int32]string{7: {0: "a", 2: "c"}, 8: {1: "b"}}
	slices.Sort(without)
	if !reflect.DeepEqual(groups, want) || !slices.Equal(without, []int32{4, 5}) {
		t.Errorf("groups %v, without a leader %v", groups, without)
	}
}
