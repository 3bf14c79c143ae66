"""The `curate` program."""

from __future__ import annotations

from pairwright.commands.command import Command

SUMMARY = "Rows in, decisions out."

COMMANDS = (
    Command(
        name="ingest",
        target="curate.ingest.command:ingest",
        options="curate.ingest.flags:OPTIONS",
        summary="read rows of any usual format into a dataset",
        examples=(
            "curate ingest train.json --image-folder images/ -o data/",
            "curate ingest easy-vqa --split test --reference answer -o data/",
            "curate ingest 'shards/*.parquet' --license cc-by-4.0",
            "curate ingest 'shards/*.tar' --format webdataset --license cc-by-4.0",
            "curate ingest hub-folder/ --subset default --split train",
            "curate ingest captions.jsonl --fetch-urls",
            "curate ingest captions.jsonl --no-images --source-name captions",
            "curate ingest preferences.parquet --as pairs",
            "curate ingest answers.jsonl --as responses --match id",
            "curate ingest votes.jsonl --as comparisons",
            "curate ingest corrections.jsonl --as feedback",
            "curate ingest ratings.csv --as scores --by alice",
            "curate ingest judged-claims.jsonl --as claims --no-images",
            "curate ingest side-by-side.jsonl --no-images",
        ),
        dataset="output",
    ),
    Command(
        name="embed",
        target="curate.embed.command:embed",
        options="curate.embed.options:EmbedOptions",
        summary="compute vectors of images (and texts) with open_clip",
        examples=(
            "curate embed data/ --model ViT-B-32 --pretrained laion2b_s34b_b79k",
            "curate embed data/ --model local-dir:models/clip",
        ),
    ),
    Command(
        name="dedup",
        target="curate.dedup.command:dedup",
        options="curate.dedup.options:DedupOptions",
        summary="remove duplicate samples; list conflicting answers",
        examples=(
            "curate dedup data/",
            "curate dedup data/ --threshold 0.8 --keep score,length --show 10",
            "curate dedup data/ --on image --image-match clip --clip-threshold 0.95",
            "curate dedup data/ --on text --run texts --dry-run",
            "curate dedup data/ --extend",
            "curate dedup data/ --against old-data/ more-data/",
            "curate dedup data/ --promote --replace",
        ),
    ),
    Command(
        name="filter",
        target="curate.filter.command:filter_samples",
        options="curate.filter.options:FilterOptions",
        summary="drop samples by rules on their scores, images or texts",
        examples=(
            "curate filter data/ --min-score 3",
            "curate filter data/ --min-score 3 --criterion accuracy --dry-run",
            "curate filter data/ --preset basic --dry-run --show 10",
            "curate filter data/ --preset llava --without blur --language en --pii email,phone",
            "curate filter data/ --min-side 224 --max-aspect 3 --rules empty_answer,refusal",
        ),
    ),
    Command(
        name="decontaminate",
        target="curate.decontaminate.command:decontaminate",
        options="curate.decontaminate.options:DecontaminateOptions",
        summary="remove rows that a benchmark contains, and all rows on its images",
        examples=(
            "curate decontaminate data/ --against easy-vqa:test",
            "curate decontaminate data/ --against bench/ mmbench.parquet --dry-run",
            "curate decontaminate data/ --against pope.json --by text --show 10",
        ),
    ),
    Command(
        name="tag",
        target="curate.tag.command:tag",
        options="curate.tag.options:TagOptions",
        summary="find the tasks of each sample (captioning, OCR, counting, ...) by rules",
        examples=(
            "curate tag data/ --show",
            "curate tag data/ --rules my.yaml --replace",
        ),
    ),
    Command(
        name="select",
        target="curate.select.command:select",
        options="curate.select.options:SelectOptions",
        summary="select a budget of rows: high scores, diverse, of all tasks",
        examples=(
            "curate select data/ --n 5000",
            "curate select data/ --fraction 0.2 --balance task --per-image 4",
            "curate select data/ --plan plan.yaml --dry-run",
            "curate select data/ --n 5000 --method k-center --run centers",
        ),
    ),
    Command(
        name="report",
        target="curate.report.command:report",
        options="curate.report.options:ReportOptions",
        summary="show what is in a dataset, what was dropped and why, as one offline page",
        examples=(
            "curate report data/",
            "curate report data/ -o out/ --examples 24 --title 'My data, March'",
            "curate report data/ --examples 0 --no-images",
        ),
    ),
    Command(
        name="export",
        target="curate.export.command:export",
        options="curate.export.options:ExportOptions",
        summary="write kept samples or pairs for the Hub or other loaders",
        examples=(
            "curate export data/ out/",
            "curate export data/ out/ --what samples --test-fraction 0.1",
            "curate export data/ pairs/ --pairs best-of-n",
            "curate export data/ out/ --format llava",
            "curate export data/ out/ --format sharegpt --what pairs",
        ),
    ),
    Command(
        name="push",
        target="curate.export.push:push",
        options="curate.export.options:PushOptions",
        summary="publish an export on the Hub",
        examples=(
            "curate push data/ owner/name",
            "curate push data/ owner/name --folder out/ --public",
        ),
    ),
)
