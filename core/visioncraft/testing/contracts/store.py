"""What the core relies on in every gallery, as tests to inherit."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visioncraft.errors import InvalidRequest, NotFound, StorageError
from visioncraft.images.png import encode_png, with_record
from visioncraft.plugins.contracts import ImageStore
from visioncraft.testing.contracts.base import Contract
from visioncraft.types.gallery import GalleryQuery, ImageRecord, Marks
from visioncraft.types.ids import image_filename, new_image_id

MakeStore = Callable[[], ImageStore]

_START = datetime(2026, 11, 23, 23, 59, 50, 123456, tzinfo=UTC)
_PNG = encode_png(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))


def a_picture(second: int = 0, **fields: Any) -> tuple[ImageRecord, bytes]:
    """A record with all that it can hold, and the PNG with the same facts inside.

    Args:
        second: After 23:59:50 on 23 November 2026, ten seconds before midnight in UTC.
        fields: Further fields of `ImageRecord`.
    """
    image_id, moment = new_image_id(), _START + timedelta(seconds=second)
    given: dict[str, Any] = {
        "prompt": "a red apple, 苹果",
        "negative_prompt": "blurry",
        "model": "mini",
        "seed": 2**63 - 1,
        "width": 64,
        "height": 48,
        "generation_time": 1.25,
        "vram_used": 3.5,
        "parameters": {"num_inference_steps": 20, "guidance_scale": 7.5},
        "facts": {"sampler": "euler_a", "upstream": {"id": 2**70}},
    }
    record = ImageRecord(
        id=image_id, filename=image_filename(image_id, moment), created_at=moment, **{**given, **fields}
    )
    return record, with_record(_PNG, record)


class ImageStoreContract(Contract):
    """Inherit, and give the fixture `make_store`: each call makes a store, not started, on the same pictures.

    >>> import pytest
    >>> class TestMine(ImageStoreContract):
    ...     @pytest.fixture
    ...     def make_store(self, tmp_path):
    ...         return lambda: MyStore(tmp_path)
    """

    @pytest.fixture
    def store(self, make_store: MakeStore) -> Iterator[ImageStore]:
        """A store that is started and empty."""
        made = make_store()
        made.start()
        yield made
        made.close()

    def test_a_picture_comes_back_byte_for_byte_with_all_that_is_known_of_it(self, store: ImageStore) -> None:
        """Through every way to it."""
        record, png = a_picture()
        kept = store.save(record, png)
        assert kept.id == record.id
        assert store.open(record.id) == png
        with store.reader(record.id) as stream:
            assert (stream.read(100), stream.read()) == (png[:100], png[100:])
        assert store.get(record.id) == kept
        assert list(store.list(10).items) == [kept]
        assert store.count() == 1

    def test_a_store_opened_again_has_everything(self, store: ImageStore, make_store: MakeStore) -> None:
        """What `save` returned for outlives the process."""
        record, png = a_picture()
        kept = store.save(record, png)
        store.close()
        again = make_store()
        again.start()
        assert (again.get(record.id), again.open(record.id), again.count()) == (kept, png, 1)
        again.close()

    def test_an_id_is_taken_only_once(self, store: ImageStore) -> None:
        """A second picture under it is refused, and the first is whole."""
        record, png = a_picture()
        store.save(record, png)
        with pytest.raises(StorageError):
            store.save(record, a_picture()[1])
        assert store.open(record.id) == png and store.count() == 1

    def test_pages_are_newest_first_whatever_the_order_of_saving(self, store: ImageStore) -> None:
        """By the time of making; pages by offset, and past the end there is nothing."""
        saved = [store.save(*a_picture(second)) for second in (3, 1, 4, 2, 0)]
        newest = sorted(saved, key=lambda record: record.created_at, reverse=True)
        page = store.list(2)
        assert (list(page.items), page.total, bool(page.next_cursor)) == (newest[:2], 5, True)
        page = store.list(2, 4)
        assert (list(page.items), page.total, page.next_cursor) == (newest[4:], 5, None)
        assert list(store.list(2, 9).items) == [] == list(store.list(0).items)

    @pytest.mark.parametrize("sort", ["newest", "oldest"])
    def test_a_walk_by_cursor_meets_each_picture_once_while_others_come_and_go(
        self, store: ImageStore, sort: Any
    ) -> None:
        """Whatever is saved or deleted meanwhile, the picture that the cursor names too."""
        saved = [store.save(*a_picture(second)) for second in range(5)]
        order = saved if sort == "oldest" else saved[::-1]
        first = store.list(2, query=GalleryQuery(sort=sort))
        for _ in range(2):
            store.save(*a_picture(-1 if sort == "oldest" else 9))
        store.delete(order[1].id)
        second = store.list(2, query=GalleryQuery(sort=sort), cursor=first.next_cursor)
        assert list(second.items) == order[2:4]
        last = store.list(2, query=GalleryQuery(sort=sort), cursor=second.next_cursor)
        assert (list(last.items), last.next_cursor) == (order[4:], None)

    @pytest.mark.parametrize("cursor", ["", "nonsense", "newest.0", "../../etc/passwd", "'; drop table pictures; --"])
    def test_a_cursor_that_is_none_is_refused(self, store: ImageStore, cursor: str) -> None:
        """As the client's mistake."""
        store.save(*a_picture())
        with pytest.raises(InvalidRequest):
            store.list(2, cursor=cursor)

    @pytest.mark.parametrize(
        "query",
        [
            GalleryQuery(model="Phoenix-1-0"),
            GalleryQuery(seed=5),
            GalleryQuery(width=128),
            GalleryQuery(height=96),
            GalleryQuery(text="sea*"),
            GalleryQuery(text='"calm seaside"'),
            GalleryQuery(generator="plasma"),
            GalleryQuery(since=_START + timedelta(seconds=5)),
        ],
        ids=lambda query: ",".join(
            name for name in ("model", "seed", "width", "text", "since") if getattr(query, name)
        ),
    )
    def test_a_query_finds_what_it_names_and_nothing_else(self, store: ImageStore, query: GalleryQuery) -> None:
        """Models in any spelling of their ids, words of the prompt, numbers, times."""
        store.save(*a_picture())
        wanted: dict[str, Any] = {"model": "phoenix-1.0", "seed": 5, "width": 128, "height": 96}
        wanted |= {"prompt": "A calm seaside", "facts": {"generator": "plasma"}}
        found = store.save(*a_picture(9, **wanted))
        page = store.list(10, query=query)
        assert (list(page.items), page.total) == ([found], 1)

    def test_a_query_that_finds_nothing_answers_an_empty_page(self, store: ImageStore) -> None:
        """Not an error."""
        store.save(*a_picture())
        page = store.list(10, query=GalleryQuery(model="nobody"))
        assert (list(page.items), page.total, page.next_cursor) == ([], 0, None)

    def test_a_deleted_picture_is_gone(self, store: ImageStore) -> None:
        """For every method, and the others are still there."""
        record, png = a_picture()
        store.save(record, png)
        other = store.save(*a_picture())
        store.delete(record.id)
        for method in (store.get, store.open, store.delete, store.thumbnail):
            with pytest.raises(NotFound):
                method(record.id)
        assert list(store.list(10).items) == [other] and store.count() == 1

    def test_deleting_many_answers_those_that_were_there(self, store: ImageStore) -> None:
        """Each once, though one is named twice and one is unknown."""
        ids = [store.save(*a_picture(second)).id for second in range(3)]
        answered = store.delete_many([ids[0], new_image_id(), ids[2], ids[0]])
        assert sorted(answered) == sorted([ids[0], ids[2]])
        assert [record.id for record in store.list(10).items] == [ids[1]]

    @pytest.mark.parametrize(
        "image_id", ["", "img_", "../../etc/passwd", "img_" + "0" * 26, "img_%00", "a" * 5000, "IMG_\n"]
    )
    def test_an_id_that_nobody_has_is_not_found_however_it_is_spelt(self, store: ImageStore, image_id: str) -> None:
        """It never leads out of the store."""
        for method in (store.get, store.open, store.delete, store.thumbnail):
            with pytest.raises(NotFound):
                method(image_id)
        assert list(store.delete_many([image_id])) == []

    def test_marks_are_kept_or_refused_as_a_whole(self, store: ImageStore) -> None:
        """A store that keeps none says so; one that does finds pictures by them."""
        store.save(*a_picture())
        record = store.save(*a_picture(1))
        marks = Marks(tags=("fruit", "red"), favourite=True, rating=4, notes="for the wall")
        try:
            marked = store.mark(record.id, marks)
        except StorageError:
            assert store.get(record.id) == record
            return
        assert marked.marks == marks and store.get(record.id) == marked
        queries = [GalleryQuery(tags=("red",)), GalleryQuery(favourite=True), GalleryQuery(min_rating=4)]
        for query in [*queries, GalleryQuery(text="wall")]:
            assert list(store.list(10, query=query).items) == [marked], query
        assert store.list(10, query=GalleryQuery(sort="rating")).items[0] == marked
        with pytest.raises(NotFound):
            store.mark(new_image_id(), marks)

    def test_a_thumbnail_is_a_webp_of_at_most_256_pixels(self, store: ImageStore) -> None:
        """In the picture's own proportions."""
        large, _ = a_picture(width=1024, height=512)
        store.save(large, with_record(encode_png(np.zeros((512, 1024, 3), np.uint8)), large))
        with Image.open(io.BytesIO(store.thumbnail(large.id))) as small:
            assert (small.format, small.size) == ("WEBP", (256, 128))

    def test_threads_may_save_read_and_delete_at_once(self, store: ImageStore) -> None:
        """The core calls from several; in the end exactly what was not deleted is there."""

        def work(number: int) -> list[str]:
            ids = [store.save(*a_picture(10 * number + second)).id for second in range(6)]
            store.list(10, offset=number)
            store.delete(ids[0])
            return ids[1:]

        with ThreadPoolExecutor(8) as threads:
            kept = {image_id for ids in threads.map(work, range(8)) for image_id in ids}
        assert {record.id for record in store.list(1000).items} == kept
        assert store.count() == len(kept) == 40

    def test_there_is_room_for_one_more(self, store: ImageStore) -> None:
        """Asked before anything is drawn; an empty store on a disk with room does not refuse."""
        store.check_room()

    def test_it_may_be_closed_twice_and_started_again(self, store: ImageStore) -> None:
        """As a server that restarts does."""
        store.close()
        store.close()
        store.start()
        assert store.count() == 0
